// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line in the configuration of boot loaders.
//
// To add a boot loader: a file boot_NAME.cc with the three functions of a row below, a row in
// kBootLoaders (boot_loader.cc), a test of its edit, a line in docs/man/vmcore-guest.8.
#pragma once

#include "guest/kexec/reservation.h"
#include "guest/setup/plan.h"
#include "guest/setup/shell_variables.h"

namespace vmcore::guest::setup {

struct CommandLine {
  root::Words words;
  // Keep an existing crashkernel=. Otherwise ours is appended: the kernel uses the last one
  // (kernel/crash_core.c, get_last_crashkernel).
  bool keep_reservation = true;
  // The word that an earlier setup put behind a crashkernel= that does not serve; it stays there.
  std::string chosen = {};
  std::string recommended = {};  // "128M", for advice
  kexec::Machine machine = {};
  // Files of a package that may be purged. A crashkernel= in them does not count as a reservation,
  // because it disappears with the package.
  std::vector<std::string> not_lasting = {};
};

// What a kernel gets at the next boot.
struct BootLine {
  std::string where;  // the file
  std::string line;   // without variables and quotes
};

struct BootLoader {
  const char* name;
  bool (*found)(const root::Tree& tree);
  Result<> (*add)(Plan& plan, const CommandLine& line);
  // The command line of each kernel that can boot; of a menu that is made by a program, that of its
  // first entry: behind it are recovery modes and other systems.
  Result<std::vector<BootLine>> (*lines)(const root::Tree& tree);
};

// Adds the words to the configuration of every boot loader that is found. What setup cannot do is
// added to plan.by_hand.
Result<> add_to_command_line(Plan& plan, const CommandLine& line);

// The lines of all boot loaders that are found.
Result<std::vector<BootLine>> boot_lines(const root::Tree& tree);

// Removes the words from files that were written since: new kernels inherit the command line.
Result<> strip_inherited(root::Tree& tree, const root::Words& words);

// For the rows: the words that are missing in `booted`, the command line that the configuration at
// `where` makes. They are recorded in the plan, and so is a crashkernel= that does not serve.
root::Words missing_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view booted);
// The same for what setup cannot change: the words are not recorded.
root::Words checked_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view booted);
// The words alone.
root::Words lacking_words(const CommandLine& line, std::string_view booted);
// "options root=... quiet": whether the line has this key.
bool has_key(std::string_view line, std::string_view key);
// The lines of a text.
std::vector<std::string> lines_of(std::string_view text);

// grub.d drop-ins, else /etc/default/grub.
bool grub_found(const root::Tree& tree);
Result<> grub_add(Plan& plan, const CommandLine& line);
Result<std::vector<BootLine>> grub_lines(const root::Tree& tree);
// The commands that make GRUB's menus: in /boot, and on the EFI system partition, where a file may
// also only lead to another. None if GRUB reads the entries instead.
Result<std::vector<Command>> grub_menu_commands(const root::Tree& tree);
// The variables that GRUB has when it shows its menu, from its environment block and from menus.
Variables grub_environment(const root::Tree& tree);
// Boot loader entries (systemd-boot, Fedora's GRUB), and /etc/kernel/cmdline, from which new
// entries are made.
bool entries_found(const root::Tree& tree);
Result<> entries_add(Plan& plan, const CommandLine& line);
Result<std::vector<BootLine>> entries_lines(const root::Tree& tree);
std::vector<std::string> entry_files(const root::Tree& tree);
// Unified kernel images.
bool uki_found(const root::Tree& tree);
Result<> uki_add(Plan& plan, const CommandLine& line);
Result<std::vector<BootLine>> uki_lines(const root::Tree& tree);
// extlinux and syslinux, through Alpine's update-extlinux or in their menus.
bool extlinux_found(const root::Tree& tree);
Result<> extlinux_add(Plan& plan, const CommandLine& line);
Result<std::vector<BootLine>> extlinux_lines(const root::Tree& tree);

inline constexpr const char* kKernelCmdline = "/etc/kernel/cmdline";

}  // namespace vmcore::guest::setup
