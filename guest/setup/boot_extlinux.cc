// SPDX-License-Identifier: GPL-2.0-or-later
#include <array>

#include "guest/setup/boot_loader.h"

namespace vmcore::guest::setup {
namespace {

constexpr const char* kUpdateExtlinux = "/etc/update-extlinux.conf";
constexpr std::array kMenus = {"/boot/extlinux.conf", "/boot/extlinux/extlinux.conf",
                               "/boot/syslinux/syslinux.cfg", "/boot/syslinux.cfg"};

// The parameters of a kernel; "APPEND -" means that it has none.
bool is_parameters(std::string_view line) {
  return has_key(line, "append") && !root::has_word(line, "-");
}

Result<> add_to_menu(Plan& plan, const CommandLine& line, const std::string& menu) {
  TRY_ASSIGN(const std::string text, plan.tree.text(menu));
  const root::Words words = missing_words(plan, line, menu, text);
  if (words.empty()) {
    return {};
  }
  std::string after = root::with_words(text, words, is_parameters);
  if (after == text) {
    plan.by_hand.push_back(fmt::format("{} has no APPEND line: add one with \"{}\" for each kernel",
                                       menu, root::joined(words)));
    return {};
  }
  return plan.tree.put_text(menu, std::move(after), "the command line");
}

}  // namespace

bool extlinux_found(const root::Tree& tree) {
  bool found = tree.is_file(kUpdateExtlinux);
  for (const char* const menu : kMenus) {
    found = found || tree.is_file(menu);
  }
  return found;
}

Result<> extlinux_add(Plan& plan, const CommandLine& line) {
  if (plan.tree.is_file(kUpdateExtlinux)) {  // makes the menu; the shell reads it
    TRY_ASSIGN(const std::string text, plan.tree.text(kUpdateExtlinux));
    const root::Words words = missing_words(plan, line, kUpdateExtlinux, text);
    if (words.empty()) {
      return {};
    }
    return plan.tree.put_text(
        kUpdateExtlinux,
        root::with_line(text, fmt::format("default_kernel_opts=\"$default_kernel_opts {}\"",
                                          root::joined(words))),
        "the command line");
  }
  for (const char* const menu : kMenus) {
    if (plan.tree.is_file(menu)) {
      TRY(add_to_menu(plan, line, menu));
    }
  }
  return {};
}

}  // namespace vmcore::guest::setup
