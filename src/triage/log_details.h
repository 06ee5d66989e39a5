// SPDX-License-Identifier: GPL-2.0-or-later
// The lines of a report that give details: who ran, where, registers, frames of the stack. Each
// function takes a line without prefixes (log_line.h), and returns nothing, or false, where the
// line is another one or is damaged.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "src/triage/log_text.h"

namespace vmcore::triage {

// Sizes of what is kept of one report. Hostile text can hold any number.
inline constexpr std::size_t kMostFrames = 512;
inline constexpr std::size_t kMostRegisters = 128;
inline constexpr std::size_t kMostModules = 1024;
inline constexpr std::size_t kLongestName = 512;   // KSYM_NAME_LEN since 6.1 (b8a94bfb3395)
inline constexpr std::size_t kLongestText = 1024;  // printk's longest line (kernel/printk)

// The beginning of the text, as long as it may be kept.
std::string kept(std::string_view text, std::size_t most = kLongestText);

// "foo+0x1/0x20 [mod]" with "? " or addresses in brackets in front; " (unreliable)" or arm64's
// "(P)" behind. Without a function for a bare address.
std::optional<LogFrame> frame_of(std::string_view line);

// Where the kernel was: "RIP: 0010:foo+0x1/0x20", "pc : foo+...", "epc : foo+...",
// "Krnl PSW : MASK ADDRESS (foo+...)", "NIP [ADDRESS] foo+...", "ERA: ADDRESS foo+...", and
// powerpc's "--- interrupt: 300 at foo+...". Nothing for an address of user mode.
std::optional<LogFrame> place_of(std::string_view line);

// "CPU: 0 UID: 0 PID: 1 Comm: sh Tainted: G O 6.12.1 #1 ...", the same without CPU and PID as hung
// tasks have it, and the first lines of reports that name a CPU, a task or a function.
void take_who(std::string_view line, LogReport& report);

// "RAX: 0000000000000000 RBX: ...", and as other architectures print them.
bool take_registers(std::string_view line, std::vector<LogRegister>& registers);

// "Modules linked in: foo(O) bar [last unloaded: baz]"
void take_modules(std::string_view line, std::vector<std::string>& modules);

}  // namespace vmcore::triage
