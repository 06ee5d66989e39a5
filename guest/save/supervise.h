// SPDX-License-Identifier: GPL-2.0-or-later
// Runs work in a process of its own. Whatever happens to that process, the caller continues: PID 1
// of a capture kernel must reach its end action.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

using Clock = std::chrono::steady_clock;

// Held by the child: each call reports progress to the parent.
class Heartbeat {
 public:
  explicit Heartbeat(Fd pipe) : pipe_(std::move(pipe)) {}
  void operator()() const;

 private:
  Fd pipe_;
};

struct Limits {
  std::chrono::seconds silence{60};                // kills a child without a heartbeat for so long
  std::optional<Clock::time_point> deadline = {};  // kills a child that still runs then
};

// Runs `work` in a child and returns its exit status, which is the result of `work`.
// Errc::cancelled if a limit killed the child, Errc::io if a signal did. A child that cannot be
// killed (a disk that does not respond) is left behind.
Result<int> supervise(const std::function<int(const Heartbeat&)>& work, const Limits& limits);

}  // namespace vmcore::guest::save
