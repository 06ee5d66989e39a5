// The kernel's command line, as boot loaders keep it.
//
// To add one: a file boot_NAME.cc with the two functions of a row below, the row in kBootLoaders
// (boot_loader.cc), a test of its edit, a line in docs/man/vmcore-guest.8.
#pragma once

#include "guest/setup/plan.h"

namespace vmcore::guest::setup {

struct CommandLine {
  root::Words words;
  // A crashkernel= that stands there already is left as it is. Else ours comes behind it: the
  // kernel takes the last one (kernel/crash_core.c, get_last_crashkernel).
  bool keep_reservation = true;
  // Files of a package that may be purged. A crashkernel= in them does not count as reserved: it
  // goes with the package.
  std::vector<std::string> not_lasting = {};
};

struct BootLoader {
  const char* name;
  bool (*found)(const root::Tree& tree);
  Result<> (*add)(Plan& plan, const CommandLine& line);
};

// Puts the words into the configuration of every boot loader that is found. What cannot be done is
// left in plan.by_hand.
Result<> add_to_command_line(Plan& plan, const CommandLine& line);

// New kernels inherit the command line: takes the words out of what was written since.
Result<> strip_inherited(root::Tree& tree, const root::Words& words);

// For the rows: those of the words that `text`, the configuration at `where`, lacks. They are noted
// in the plan.
root::Words missing_words(Plan& plan, const CommandLine& line, std::string_view where,
                          std::string_view text);
// "options root=... quiet": whether the line has this key.
bool has_key(std::string_view line, std::string_view key);

// grub.d drop-ins, else /etc/default/grub.
bool grub_found(const root::Tree& tree);
Result<> grub_add(Plan& plan, const CommandLine& line);
// Boot loader entries (systemd-boot, Fedora's GRUB) and /etc/kernel/cmdline, which new ones get.
bool entries_found(const root::Tree& tree);
Result<> entries_add(Plan& plan, const CommandLine& line);
std::vector<std::string> entry_files(const root::Tree& tree);
// Unified kernel images.
bool uki_found(const root::Tree& tree);
Result<> uki_add(Plan& plan, const CommandLine& line);
// extlinux and syslinux, by Alpine's update-extlinux or directly.
bool extlinux_found(const root::Tree& tree);
Result<> extlinux_add(Plan& plan, const CommandLine& line);

inline constexpr const char* kKernelCmdline = "/etc/kernel/cmdline";

}  // namespace vmcore::guest::setup
