// Work in a process of its own, so that whatever becomes of it, whoever waits goes on: PID 1 of a
// capture kernel must come to its end action.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

using Clock = std::chrono::steady_clock;

// The child's end: it says now and then that it gets on.
class Beat {
 public:
  explicit Beat(Fd pipe) : pipe_(std::move(pipe)) {}
  void operator()() const;

 private:
  Fd pipe_;
};

struct Limits {
  std::chrono::seconds silence{60};  // a child that does not beat for so long is killed
  std::optional<Clock::time_point> deadline = {};  // as is one that still runs then
};

// Runs `work` in a child; the child exits with what it returns. Errc::cancelled where the child was
// killed for a limit, Errc::io where it died of a signal. A child that cannot be killed (a disk
// that does not answer) is left behind.
Result<int> supervise(const std::function<int(const Beat&)>& work, const Limits& limits);

}  // namespace vmcore::guest::save
