// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>

#include "guest/setup/boot_loader.h"
#include "src/base/shell.h"

namespace vmcore::guest::setup {
namespace {

// The mount points of $BOOT of the Boot Loader Specification.
constexpr std::array kFolders = {"/boot/loader/entries", "/efi/loader/entries",
                                 "/boot/efi/loader/entries"};

bool is_options(std::string_view line) { return has_key(line, "options"); }

// Adds the words to the last "options" line: the lines are joined in their order.
std::string with_options(const std::string& text, const root::Words& words) {
  std::size_t count = 0;
  const auto counting = [&count](std::string_view line) {
    count += is_options(line) ? 1U : 0U;
    return false;
  };
  static_cast<void>(root::with_words(text, {}, counting));
  if (count == 0) {
    return root::with_line(text, "options " + root::joined(words));
  }
  return root::with_words(
      text, words, [&count](std::string_view line) { return is_options(line) && --count == 0; });
}

bool has_kernel(std::string_view text) {
  const std::vector<std::string> lines = lines_of(text);
  return std::ranges::any_of(lines, [](const auto& line) { return has_key(line, "linux"); });
}

// The "options" lines, joined, with GRUB's variables.
std::string line_of(std::string_view text, const Variables& variables) {
  constexpr std::size_t kKeyLength = 7;
  std::string all;
  for (const std::string& line : lines_of(text)) {
    all += is_options(line) ? line.substr(kKeyLength) : "";
  }
  return expanded(all, variables);
}

std::string first_line(std::string_view text) {
  for (const std::string& line : lines_of(text)) {
    if (!line.empty() && line.front() != '#') {
      return line;
    }
  }
  return "";
}

}  // namespace

std::vector<std::string> entry_files(const root::Tree& tree) {
  std::vector<std::string> files;
  for (const std::string folder : kFolders) {
    for (const std::string& name : tree.names(folder)) {
      if (name.ends_with(".conf")) {
        files.push_back(folder + "/" + name);
      }
    }
  }
  return files;
}

Result<std::vector<BootLine>> entries_lines(const root::Tree& tree) {
  const Variables variables = grub_environment(tree);
  std::vector<BootLine> lines;
  for (const std::string& file : entry_files(tree)) {
    TRY_ASSIGN(const std::string text, tree.text(file));
    if (has_kernel(text)) {
      lines.push_back({file, line_of(text, variables)});
    }
  }
  return lines;
}

bool entries_found(const root::Tree& tree) { return !entry_files(tree).empty(); }

Result<> entries_add(Plan& plan, const CommandLine& line) {
  const Variables variables = grub_environment(plan.tree);
  bool variable = false;
  for (const std::string& file : entry_files(plan.tree)) {
    TRY_ASSIGN(const std::string text, plan.tree.text(file));
    if (!has_kernel(text)) {
      continue;
    }
    variable = variable || text.find("$kernelopts") != std::string::npos;
    const root::Words words = missing_words(plan, line, file, line_of(text, variables));
    if (!words.empty()) {
      TRY(plan.tree.put_text(file, with_options(text, words), "the command line"));
    }
  }
  if (variable && !lacking_words(line, value_of(variables, "kernelopts"))
                       .empty()) {  // RHEL 8: new entries get what GRUB's environment block has
    plan.by_hand.push_back(fmt::format(
        "kernels installed from now on take their command line from grubenv: run `grub2-editenv - "
        "set \"$(grub2-editenv - list | grep ^kernelopts=)\"{}`",
        shell_quoted(" " + root::joined(line.words))));
  }
  TRY_ASSIGN(const std::string inherited, plan.tree.text(kKernelCmdline));
  if (inherited.empty()) {
    return {};  // new entries get what the running kernel has: ours, after the reboot
  }
  const root::Words words = missing_words(plan, line, kKernelCmdline, first_line(inherited));
  if (words.empty()) {
    return {};
  }
  bool first = true;
  return plan.tree.put_text(kKernelCmdline,
                            root::with_words(inherited, words,
                                             [&first](std::string_view text) {
                                               const bool wanted =
                                                   first && !text.empty() && text[0] != '#';
                                               first = first && !wanted;
                                               return wanted;
                                             }),
                            "the command line of new kernels");
}

}  // namespace vmcore::guest::setup
