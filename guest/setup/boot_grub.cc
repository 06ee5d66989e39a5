// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>

#include "guest/config/trimmed.h"
#include "guest/setup/boot_loader.h"
#include "src/base/shell.h"

namespace vmcore::guest::setup {
namespace {

constexpr const char* kDefaults = "/etc/default/grub";
constexpr const char* kDropIns = "/etc/default/grub.d";
// Sorts after kdump-tools.cfg: the last crashkernel= wins.
constexpr const char* kDropIn = "/etc/default/grub.d/vmcore-guest.cfg";
constexpr std::array kBootFolders = {"/boot/grub", "/boot/grub2"};
constexpr std::array kEfiFolders = {"/boot/efi/EFI", "/efi/EFI", "/boot/EFI"};

std::string mkconfig(const root::Tree& tree) {
  const std::string path = tree.program("grub-mkconfig");
  return path.empty() ? tree.program("grub2-mkconfig") : path;
}

// Only Debian and Ubuntu have drop-ins; the script itself shows whether it sources them.
Result<bool> reads_drop_ins(const root::Tree& tree) {
  TRY_ASSIGN(const std::string script, tree.root().read(mkconfig(tree)));
  return script.find("default/grub.d") != std::string::npos;
}

// What grub-mkconfig has after the files that it sources, but those of `not_lasting`.
Result<Variables> defaults_of(const root::Tree& tree, bool drop_ins,
                              const std::vector<std::string>& not_lasting) {
  Variables variables;
  TRY_ASSIGN(const std::string text, tree.text(kDefaults));
  evaluate(text, variables);
  for (const std::string& name : drop_ins ? tree.names(kDropIns) : std::vector<std::string>()) {
    const std::string path = fmt::format("{}/{}", kDropIns, name);
    if (name.ends_with(".cfg") && std::ranges::find(not_lasting, path) == not_lasting.end()) {
      TRY_ASSIGN(const std::string more, tree.text(path));
      evaluate(more, variables);
    }
  }
  return variables;
}

// In the order of /etc/grub.d/10_linux.
std::string line_of(const Variables& defaults) {
  return value_of(defaults, "GRUB_CMDLINE_LINUX") + " " +
         value_of(defaults, "GRUB_CMDLINE_LINUX_DEFAULT");
}

bool reads_entries(const root::Tree& tree, const Variables& defaults) {
  return value_of(defaults, "GRUB_ENABLE_BLSCFG") == "true" && entries_found(tree);
}

std::vector<std::string> folders_of(const root::Tree& tree) {
  std::vector<std::string> folders(kBootFolders.begin(), kBootFolders.end());
  for (const std::string folder : kEfiFolders) {
    for (const std::string& name : tree.names(folder)) {
      folders.push_back(fmt::format("{}/{}", folder, name));
    }
  }
  return folders;
}

// "search ...; configfile $prefix/grub.cfg": not a menu, but the way to one.
bool leads_elsewhere(std::string_view text) {
  return text.find("configfile") != std::string_view::npos &&
         text.find("menuentry") == std::string_view::npos;
}

Result<std::vector<std::string>> menus(const root::Tree& tree) {
  std::vector<std::string> found;
  for (const std::string& folder : folders_of(tree)) {
    const std::string menu = folder + "/grub.cfg";
    if (!tree.root().exists(menu)) {
      continue;
    }
    TRY_ASSIGN(const std::string text, tree.text(menu));
    if (!leads_elsewhere(text)) {
      found.push_back(menu);
    }
  }
  return found;
}

// "linux /vmlinuz root=... ro", also linux16 and linuxefi.
bool is_kernel(std::string_view line) {
  return has_key(line, "linux") || has_key(line, "linux16") || has_key(line, "linuxefi");
}

// A menu lacks a word that grub-mkconfig would write.
Result<> remake_old_menus(Plan& plan, const CommandLine& line) {
  TRY_ASSIGN(const std::vector<BootLine> lines, grub_lines(plan.tree));
  const bool old_menu = std::ranges::any_of(
      lines, [&](const BootLine& entry) { return !lacking_words(line, entry.line).empty(); });
  if (old_menu) {
    TRY_ASSIGN(const std::vector<Command> commands, grub_menu_commands(plan.tree));
    plan.overdue.insert(plan.overdue.end(), commands.begin(), commands.end());
  }
  return {};
}

bool other_loader_found(const root::Tree& tree) {
  return entries_found(tree) || uki_found(tree) || extlinux_found(tree);
}

// Nothing boots from what was changed until a menu is made of it.
Result<> ask_for_menu(Plan& plan, const Variables& defaults) {
  TRY_ASSIGN(const std::vector<std::string> found, menus(plan.tree));
  if (found.empty() && !reads_entries(plan.tree, defaults) && !other_loader_found(plan.tree)) {
    plan.by_hand.push_back(
        fmt::format("no menu of GRUB was found in /boot/grub, /boot/grub2 and EFI/* of the EFI "
                    "system partition: make the one that boots with `{} FILE`",
                    shell_command({mkconfig(plan.tree), "-o"})));
  }
  return {};
}

}  // namespace

bool grub_found(const root::Tree& tree) { return !mkconfig(tree).empty(); }

Variables grub_environment(const root::Tree& tree) {
  Variables variables;
  for (const std::string& folder : folders_of(tree)) {
    for (const std::string& line : lines_of(tree.text(folder + "/grub.cfg").value_or(""))) {
      if (line.starts_with("set ") && line.find("kernelopts=") != std::string::npos) {
        evaluate(line.substr(4), variables);
      }
    }
  }
  if (!variables.contains("kernelopts") && variables.contains("default_kernelopts")) {
    variables["kernelopts"] = variables["default_kernelopts"];
  }
  for (const std::string& folder : folders_of(tree)) {
    for (const std::string& line : lines_of(tree.text(folder + "/grubenv").value_or(""))) {
      const std::size_t equals = line.find('=');
      if (!line.starts_with('#') && equals != std::string::npos) {
        variables[line.substr(0, equals)] = line.substr(equals + 1);
      }
    }
  }
  return variables;
}

Result<std::vector<BootLine>> grub_lines(const root::Tree& tree) {
  const Variables variables = grub_environment(tree);
  std::vector<BootLine> lines;
  TRY_ASSIGN(const std::vector<std::string> found, menus(tree));
  for (const std::string& menu : found) {
    TRY_ASSIGN(const std::string text, tree.text(menu));
    const std::vector<std::string> all = lines_of(text);
    const auto kernel = std::ranges::find_if(all, is_kernel);
    if (kernel != all.end()) {
      lines.push_back({menu, expanded(*kernel, variables)});
    }
  }
  return lines;
}

Result<std::vector<Command>> grub_menu_commands(const root::Tree& tree) {
  std::vector<Command> commands;
  if (!grub_found(tree)) {
    return commands;
  }
  TRY_ASSIGN(const bool drop_ins, reads_drop_ins(tree));
  TRY_ASSIGN(const Variables defaults, defaults_of(tree, drop_ins, {}));
  if (reads_entries(tree, defaults)) {
    return commands;
  }
  TRY_ASSIGN(const std::vector<std::string> found, menus(tree));
  for (const std::string& menu : found) {
    commands.push_back({mkconfig(tree), "-o", menu});
  }
  return commands;
}

Result<> grub_add(Plan& plan, const CommandLine& line) {
  root::Tree& tree = plan.tree;
  TRY_ASSIGN(const bool drop_ins, reads_drop_ins(tree));
  TRY_ASSIGN(const Variables defaults, defaults_of(tree, drop_ins, line.not_lasting));
  const root::Words words = missing_words(plan, line, kDefaults, line_of(defaults));
  TRY(ask_for_menu(plan, defaults));
  TRY(remake_old_menus(plan, line));
  if (words.empty()) {
    return {};
  }
  // A line of its own works whatever quotes the lines above use, because a shell reads it. _DEFAULT
  // comes last on the kernel command line.
  const std::string ours = fmt::format(
      "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT {}\"", root::joined(words));
  if (drop_ins) {
    return tree.put_ours(kDropIn, root::file_node(fmt::format("{}\n{}\n", kOurMark, ours)),
                         "the command line");
  }
  TRY_ASSIGN(const std::string text, tree.text(kDefaults));
  return tree.put_text(kDefaults, root::with_line(text, ours), "the command line");
}

}  // namespace vmcore::guest::setup
