// SPDX-License-Identifier: GPL-2.0-or-later
// The command line of the capture kernel.
#pragma once

#include <string>
#include <string_view>

namespace vmcore::guest::kexec {

// The command line of the capture kernel: words that save memory and that make drivers reset
// devices, then those words of the running kernel (/proc/cmdline) that select its console and
// control how the hardware is driven, then `append`, which overrides them. The kernel itself adds
// elfcorehdr=.
std::string capture_command_line(std::string_view running, std::string_view append);

// The command line of a reboot without firmware: that of the running kernel without the words that
// its boot loader added for itself, then `append`.
std::string reboot_command_line(std::string_view running, std::string_view append);

}  // namespace vmcore::guest::kexec
