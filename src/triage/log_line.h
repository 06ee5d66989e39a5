// SPDX-License-Identifier: GPL-2.0-or-later
// One line of a kernel log or a console, without what consoles and loggers put in front of it.
#pragma once

#include <string_view>

namespace vmcore::triage {

struct LogLine {
  std::string_view text;    // the kernel's words, without spaces at their ends
  std::string_view caller;  // "T123" or "C0", where the kernel prints it (CONFIG_PRINTK_CALLER)
};

// Removes, where they are there: "\r" and terminal colours; the prefix of syslog or the journal
// ("Nov 29 12:00:00 host kernel: "); the header of /dev/kmsg and of netconsole's extended form
// ("4,1234,567890,-,caller=T1;"); the level ("<4>"); the time ("[    1.234567]"); the caller.
// What stands in front of the time is dropped: a shell's prompt, the half line of a program.
LogLine without_prefixes(std::string_view line);

}  // namespace vmcore::triage
