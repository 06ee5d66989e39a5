// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel command line in the configuration of boot loaders.
//
// To add a boot loader: a file boot_NAME.cc with the two functions of a row below, a row in
// kBootLoaders (boot_loader.cc), a test of its edit, a line in docs/man/vmcore-guest.8.
#pragma once

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

struct CommandLine {
  root::Words words;
  // Keep an existing crashkernel=. Otherwise ours is appended: the kernel uses the last one
  // (kernel/crash_core.c, get_last_crashkernel).
  bool keep_reservation = true;
  // Files of a package that may be purged. A crashkernel= in them does not count as a reservation,
  // because it disappears with the package.
  std::vector<std::string> not_lasting = {};
};

struct BootLoader {
  const char* name;
  bool (*found)(const root::Tree& tree);
  Result<> (*add)(Plan& plan, const CommandLine& line);
};

// Adds the words to the configuration of every boot loader that is found. What setup cannot do is
// added to plan.by_hand.
Result<> add_to_command_line(Plan& plan, const CommandLine& line);

// Removes the words from files that were written since: new kernels inherit the command line.
Result<> strip_inherited(root::Tree& tree, const root::Words& words);

// For the rows: the words that are missing in `text`, the configuration at `where`. They are
// recorded in the plan.
root::Words missing_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view text);
// "options root=... quiet": whether the line has this key.
bool has_key(std::string_view line, std::string_view key);

// grub.d drop-ins, else /etc/default/grub.
bool grub_found(const root::Tree& tree);
Result<> grub_add(Plan& plan, const CommandLine& line);
// Boot loader entries (systemd-boot, Fedora's GRUB), and /etc/kernel/cmdline, from which new
// entries are made.
bool entries_found(const root::Tree& tree);
Result<> entries_add(Plan& plan, const CommandLine& line);
std::vector<std::string> entry_files(const root::Tree& tree);
// Unified kernel images.
bool uki_found(const root::Tree& tree);
Result<> uki_add(Plan& plan, const CommandLine& line);
// extlinux and syslinux, through Alpine's update-extlinux or in their menus.
bool extlinux_found(const root::Tree& tree);
Result<> extlinux_add(Plan& plan, const CommandLine& line);

inline constexpr const char* kKernelCmdline = "/etc/kernel/cmdline";

}  // namespace vmcore::guest::setup
