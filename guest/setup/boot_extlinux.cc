// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <set>

#include "guest/config/trimmed.h"
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

// Behind the first word.
std::string value_of_line(std::string_view line) {
  line = config::trimmed(line);
  return std::string(
      config::trimmed(line.substr(std::min(line.find_first_of(" \t"), line.size()))));
}

struct Entry {
  std::string label;
  std::string line = {};
  bool has_line = false;
};

struct Menu {
  std::string default_label = {};  // empty: the first entry
  std::string global = {};         // of entries without parameters of their own
  bool has_global = false;
  std::vector<Entry> entries = {};
};

Menu parse_menu(std::string_view text) {
  Menu menu;
  for (const std::string& line : lines_of(text)) {
    if (has_key(line, "default")) {
      menu.default_label = value_of_line(line);
    } else if (has_key(line, "label")) {
      menu.entries.push_back({.label = value_of_line(line)});
    } else if (has_key(line, "append") && menu.entries.empty()) {
      menu.global = value_of_line(line);
      menu.has_global = true;
    } else if (has_key(line, "append")) {
      menu.entries.back().line = is_parameters(line) ? value_of_line(line) : "";
      menu.entries.back().has_line = true;
    }
  }
  for (Entry& entry : menu.entries) {
    if (!entry.has_line && menu.has_global) {
      entry.line = menu.global;
      entry.has_line = true;
    }
  }
  return menu;
}

const Entry* default_entry(const Menu& menu) {
  for (const Entry& entry : menu.entries) {
    if (menu.default_label.empty() || entry.label == menu.default_label) {
      return &entry;
    }
  }
  return nullptr;
}

Result<> add_to_menu(Plan& plan, const CommandLine& line, const std::string& path) {
  TRY_ASSIGN(const std::string text, plan.tree.text(path));
  std::set<root::Words> all;
  for (const std::string& parameters : lines_of(text)) {
    if (is_parameters(parameters)) {
      all.insert(missing_words(plan, line, path, value_of_line(parameters)));
    }
  }
  std::string after = text;
  for (const root::Words& words : all) {
    if (!words.empty()) {
      after = root::with_words(after, words, [&](std::string_view parameters) {
        return is_parameters(parameters) && lacking_words(line, value_of_line(parameters)) == words;
      });
    }
  }
  const Menu menu = parse_menu(text);
  const Entry* const boots = default_entry(menu);
  if (boots != nullptr && (!boots->has_line || boots->line.empty()) &&
      !lacking_words(line, "").empty()) {
    plan.by_hand.push_back(
        fmt::format("{}: the default entry \"{}\" has no APPEND line: add one "
                    "with \"{}\"",
                    path, boots->label, root::joined(line.words)));
  } else if (all.empty()) {
    plan.by_hand.push_back(fmt::format("{} has no APPEND line: add one with \"{}\" for each kernel",
                                       path, root::joined(line.words)));
  }
  return after == text ? Result<>()
                       : plan.tree.put_text(path, std::move(after), "the command line");
}

// Alpine's update-extlinux makes the menu from this file; the shell reads it.
Result<> add_to_defaults(Plan& plan, const CommandLine& line) {
  TRY_ASSIGN(const std::string text, plan.tree.text(kUpdateExtlinux));
  Variables variables;
  evaluate(text, variables);
  const root::Words words =
      missing_words(plan, line, kUpdateExtlinux, value_of(variables, "default_kernel_opts"));
  TRY_ASSIGN(const std::vector<BootLine> lines, extlinux_lines(plan.tree));
  const std::string program = plan.tree.program("update-extlinux");
  const bool old_menu = std::ranges::any_of(
      lines, [&](const BootLine& entry) { return !lacking_words(line, entry.line).empty(); });
  if (old_menu && !program.empty()) {
    plan.overdue.push_back({program});
  }
  if (words.empty()) {
    return {};
  }
  return plan.tree.put_text(
      kUpdateExtlinux,
      root::with_line(text, fmt::format("default_kernel_opts=\"$default_kernel_opts {}\"",
                                        root::joined(words))),
      "the command line");
}

}  // namespace

bool extlinux_found(const root::Tree& tree) {
  bool found = tree.is_file(kUpdateExtlinux);
  for (const char* const menu : kMenus) {
    found = found || tree.is_file(menu);
  }
  return found;
}

Result<std::vector<BootLine>> extlinux_lines(const root::Tree& tree) {
  std::vector<BootLine> lines;
  for (const char* const path : kMenus) {
    TRY_ASSIGN(const std::string text, tree.text(path));
    const Menu menu = parse_menu(text);
    if (const Entry* const boots = default_entry(menu); boots != nullptr) {
      lines.push_back({path, boots->line});
    }
  }
  return lines;
}

Result<> extlinux_add(Plan& plan, const CommandLine& line) {
  if (plan.tree.is_file(kUpdateExtlinux)) {
    return add_to_defaults(plan, line);
  }
  for (const char* const menu : kMenus) {
    if (plan.tree.is_file(menu)) {
      TRY(add_to_menu(plan, line, menu));
    }
  }
  return {};
}

}  // namespace vmcore::guest::setup
