// SPDX-License-Identifier: GPL-2.0-or-later
// What vmcored and vmcore-guardian agree on.
#pragma once

namespace vmcore::guardian {

// What vmcored says over the line, a byte each. The last one counts.
inline constexpr char kNothing = '-';   // the guest is not in the trap
inline constexpr char kReset = 'r';     // it is, and wanted to reset
inline constexpr char kShutdown = 's';  // and wanted to power off
inline constexpr char kLeave = 'k';     // it is, and stays as it is, because its policy says so
inline constexpr char kDone = 'q';      // the guardian is not needed any more

// The descriptors of the program, which has the actions before as its words: "reboot=reset".
inline constexpr int kMonitorFd = 3;
inline constexpr int kLineFd = 4;

}  // namespace vmcore::guardian
