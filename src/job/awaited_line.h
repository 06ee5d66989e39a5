// SPDX-License-Identifier: GPL-2.0-or-later
// AwaitedLine: the line through which a guest's stream will arrive, until its first byte arrives.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "src/acquire/crash/callers.h"
#include "src/acquire/crash/guest_line.h"
#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::job {

class AwaitedLine {
 public:
  // `from` and `guest` as in acquire/crash/guest_line.h. `wait`: the time from now until the stream
  // must begin; zero: no limit.
  static Result<AwaitedLine> open(const std::string& from, const acquire::Selection& guest,
                                  std::chrono::seconds wait);

  // From now on that monitor of QEMU is asked whether the guest crashed.
  Result<> watch(const acquire::Selection& monitor);
  void stop_watching() { line_.watcher.reset(); }
  // Whether the monitor or libvirt has reported it.
  bool saw_crash();

  // Waits until the first byte is there, which is left to the reader; for a line with callers,
  // until there may be another caller, one of `also` is readable, or `at_most` is over (zero: no
  // limit). Errc::not_found when the time is over, Errc::cancelled when `cancel` becomes readable,
  // Errc::guest_state if the guest panicked and will not send anything.
  Result<> await(int cancel, std::span<const int> also = {},
                 std::chrono::milliseconds at_most = std::chrono::milliseconds(0));

  // The guest's name, or a word in its place.
  const std::string& name() const { return line_.name; }
  // What brings the stream, once.
  Fd take() { return std::move(line_.fd); }
  // The most memory of the guest, in bytes, if it is known.
  std::optional<std::uint64_t> memory() const { return line_.memory; }
  const acquire::GuestLine& line() const { return line_; }
  // The clients, for a line to which guests connect; else null.
  acquire::Callers* callers() { return callers_ ? &*callers_ : nullptr; }
  // From now on nobody can connect, and all that wait are disconnected.
  void stop_listening() { callers_.reset(); }
  // The time that a stream may still take to begin after its first byte; zero: no limit.
  std::chrono::milliseconds patience() const;

 private:
  using Clock = std::chrono::steady_clock;

  AwaitedLine(acquire::GuestLine line, std::chrono::seconds wait)
      : wait_(wait), line_(std::move(line)) {}
  Result<> check_watcher();
  std::chrono::milliseconds left() const;

  std::chrono::seconds wait_;
  Clock::time_point start_ = Clock::now();
  acquire::GuestLine line_;
  std::optional<acquire::Callers> callers_;  // where guests connect
};

}  // namespace vmcore::job
