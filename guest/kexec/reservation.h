// SPDX-License-Identifier: GPL-2.0-or-later
// crashkernel=: which word of a command line the kernel takes, and whether that reserves enough.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "guest/root/root.h"

namespace vmcore::guest::kexec {

// What decides how much a word reserves.
struct Machine {
  std::optional<std::uint64_t> ram = {};  // bytes, as the kernel counts them; nothing: unknown
  std::uint64_t minimum = 0;              // bytes that the capture kernel needs
  bool knows_auto = false;  // its kernels have a table for crashkernel=auto (RHEL 7 and 8)
};

struct Reservation {
  std::string word = {};   // "crashkernel=128M"; empty: there is none
  std::string fault = {};  // why it is of no use here, as a clause; empty as far as is known
  bool serves() const { return !word.empty() && fault.empty(); }
};

// Of several words the kernel takes the last one without a suffix, else the last with ",high"
// (kernel/crash_core.c, get_last_crashkernel).
Reservation reservation_of(std::string_view command_line, const Machine& machine);

// The RAM of the running guest; nothing for an image, and for users other than root.
std::optional<std::uint64_t> ram_of(const root::Root& root);

// The last line of the kernel's log that says why crashkernel= reserved nothing; empty if there is
// none. Pure.
std::string kernel_on_crashkernel(std::string_view log);

}  // namespace vmcore::guest::kexec
