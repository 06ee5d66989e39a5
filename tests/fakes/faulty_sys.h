// SPDX-License-Identifier: GPL-2.0-or-later
// The twin of src/base/sys.cc: the same calls, which fail or come short on demand. A test program
// that has faulty_sys.cc among its sources gets it in place of the real one.
#pragma once

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <limits>

namespace vmcore::fakes {

// What goes wrong. The plain values are set before threads start.
struct Faults {
  static constexpr int kNever = -1;
  std::atomic<int> writes_left = kNever;  // so many writes succeed, and no more
  std::atomic<int> reads_left = kNever;
  std::atomic<int> syncs_left = kNever;
  std::atomic<bool> stalled = false;  // a sync waits: faults.stalled.notify_all() after false
  int sync_errno = EIO;
  int write_errno = ENOSPC;
  int read_errno = EIO;
  std::size_t longest_step = std::numeric_limits<std::size_t>::max();  // bytes at a time
};
extern Faults faults;

// Everything works again.
void no_faults();

}  // namespace vmcore::fakes
