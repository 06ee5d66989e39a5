// SPDX-License-Identifier: GPL-2.0-or-later
// PauseLimit: the time by which a pause must end. The holder of its lease sees to it
// (lease/hold.h).
#pragma once

#include <chrono>
#include <optional>

namespace vmcore::job {

class PauseLimit {
 public:
  using Clock = std::chrono::steady_clock;

  // Zero: there is no limit.
  explicit PauseLimit(std::chrono::milliseconds limit) : limit_(limit) {}

  // The pause begins now.
  void begin() {
    if (limit_.count() != 0) {
      until_ = Clock::now() + limit_;
    }
  }
  // What was read counts, or the pause has no end that is ours.
  void end() { until_.reset(); }

  // Whether the time is over.
  bool is_over() const { return until_ && Clock::now() >= *until_; }
  // Nothing without a limit, before begin() and after end().
  std::optional<Clock::time_point> until() const { return until_; }

 private:
  std::chrono::milliseconds limit_;
  std::optional<Clock::time_point> until_;
};

}  // namespace vmcore::job
