// SPDX-License-Identifier: GPL-2.0-or-later
// What vmcorectl and vmcore-holder agree on (holder.h, hold.h).
#pragma once

#include <cstdint>

namespace vmcore::lease {

// How a lease ended. The holder says it in one byte.
enum class Ending : char {
  held = 'h',     // it held until its reader let go, or until it was told to drop it
  ended = 'e',    // whoever wrote ended by itself, and all that was written was passed on
  limit = 'l',    // the time is over
  died = 'd',     // the worker has died
  stopped = 's',  // vmcorectl or the worker was stopped by a signal or a debugger
  stalled = 'i',  // nothing moved: no byte passed by, and neither used a processor
  lost = '?',     // said by nobody: the holder was killed, or does not answer
};

// What the holder says before a guest may be paused for it.
inline constexpr char kReady = 'r';
// The orders that the holder gets.
inline constexpr char kDrop = 'd';
inline constexpr char kGoodbye = 'q';  // the job is over: whoever dies now is none of its business

// Its descriptors.
inline constexpr int kControlFd = 3;
inline constexpr int kLeaseFd = 4;       // the pipe's end to read from
inline constexpr int kRelayFd = 5;       // the end to write to of the pipe to the worker
inline constexpr int kParentFd = 6;      // a pidfd of vmcorectl
inline constexpr int kParentStatFd = 7;  // its /proc/PID/stat
inline constexpr int kWorkerFd = 8;      // the same of the worker
inline constexpr int kWorkerStatFd = 9;

// Its words: the time of CLOCK_MONOTONIC in nanoseconds by which the pause must end (0: there is no
// limit), and the flags that hold (0 or 1).
struct Orders {
  std::int64_t until = 0;
  bool guarded = false;  // the guest runs otherwise: see hold.h
  bool whole = false;    // all is passed on; else no more than the pipes have room for
};

}  // namespace vmcore::lease
