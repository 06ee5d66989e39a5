// The command line of the capture kernel.
#pragma once

#include <string>
#include <string_view>

namespace vmcore::guest::kexec {

// What the capture kernel is booted with: few resources, no device that the crashed kernel left in
// an unknown state used as it is, and of the running kernel's own words (/proc/cmdline) those that
// say where its console is and how this machine has to be driven. `append` comes last, so it wins.
// The kernel adds elfcorehdr= by itself.
std::string capture_command_line(std::string_view running, std::string_view append);

// What a reboot without firmware boots with: as the running kernel, but for what its boot loader
// said to itself.
std::string reboot_command_line(std::string_view running, std::string_view append);

}  // namespace vmcore::guest::kexec
