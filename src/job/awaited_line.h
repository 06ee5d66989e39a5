// AwaitedLine: the line that a guest's stream will come by, until its first byte is there.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
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
  // `from` and `guest` as in acquire/crash/guest_line.h. The stream has so long to begin, from now
  // on; zero: for ever.
  static Result<AwaitedLine> open(const std::string& from, const acquire::Selection& guest,
                                  std::chrono::seconds wait);

  // From now on QEMU is asked by that monitor whether the guest crashed.
  Result<> watch(const std::filesystem::path& monitor);
  void stop_watching() { line_.witness.reset(); }
  // Whether whoever is asked has seen it.
  bool saw_crash() const;

  // Until the first byte is there, which is left to the reader; where guests connect, until there
  // may be another one, one of `also` is readable, or `at_most` is over (zero: no limit).
  // Errc::not_found when the time is over, Errc::cancelled when `cancel` becomes readable,
  // Errc::guest_state where the guest panicked and nothing will come.
  Result<> await(int cancel, std::span<const int> also = {},
                 std::chrono::milliseconds at_most = std::chrono::milliseconds(0));

  // The guest's, or what stands for it.
  const std::string& name() const { return line_.name; }
  // What brings the stream, once.
  Fd take() { return std::move(line_.fd); }
  // Bytes that the guest has at most, where that is known.
  std::optional<std::uint64_t> memory() const { return line_.memory; }
  const acquire::GuestLine& line() const { return line_; }
  // Where guests connect, those who do; else null.
  acquire::Callers* callers() { return callers_ ? &*callers_ : nullptr; }
  // Nobody can connect any more, and whoever waits is hung up on.
  void stop_listening() { callers_.reset(); }
  // How long a stream may still take to begin when its first byte is there; zero: for ever.
  std::chrono::milliseconds patience() const;

 private:
  using Clock = std::chrono::steady_clock;

  AwaitedLine(acquire::GuestLine line, std::chrono::seconds wait)
      : wait_(wait), line_(std::move(line)) {}
  Result<> check_witness() const;
  std::chrono::milliseconds left() const;

  std::chrono::seconds wait_;
  Clock::time_point start_ = Clock::now();
  acquire::GuestLine line_;
  std::optional<acquire::Callers> callers_;  // where guests connect
};

}  // namespace vmcore::job
