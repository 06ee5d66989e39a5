// SPDX-License-Identifier: GPL-2.0-or-later
// PauseLimit: ends the pause of a guest when its time is over, whatever the thread of the dump
// waits for.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::job {

class PauseLimit {
 public:
  using Clock = std::chrono::steady_clock;

  // Zero: there is no limit.
  explicit PauseLimit(std::chrono::milliseconds limit) : limit_(limit) {}

  // The pause begins now. The process `holder`, a child that was not waited for yet, holds it: the
  // process is killed (SIGKILL) when the time is over, and the kernel closes its end of the lease's
  // pipe.
  Result<> begin(pid_t holder);
  // The holder has released the guest, and is not killed any more.
  void end();

  // Whether the time was over before end().
  bool is_over() const { return over_ || (until_ && Clock::now() >= *until_); }
  // The time by which the pause must end; nothing without a limit, before begin() and after end().
  std::optional<Clock::time_point> until() const { return until_; }

 private:
  std::chrono::milliseconds limit_;
  std::optional<Clock::time_point> until_;
  Fd holder_;
  std::atomic<bool> over_{false};
  std::jthread watch_;
};

}  // namespace vmcore::job
