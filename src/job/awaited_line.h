// AwaitedLine: the line that a guest's stream will come by, until its first byte is there.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "src/acquire/callers.h"
#include "src/acquire/guest_line.h"
#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::job {

class AwaitedLine {
 public:
  // `from` and `guest` as in acquire/guest_line.h. The stream has so long to begin, from now on;
  // zero: for ever.
  static Result<AwaitedLine> open(const std::string& from, const acquire::Selection& guest,
                                  std::chrono::seconds wait);

  // From now on QEMU is asked by that monitor whether the guest crashed.
  Result<> watch(const std::filesystem::path& monitor);
  void stop_watching() { line_.witness.reset(); }
  // Whether whoever is asked has seen it.
  bool saw_crash() const;

  // Until the first byte is there, which is left to the reader; where guests connect, of the next
  // one. Errc::not_found when the time is over, Errc::cancelled when `cancel` becomes readable,
  // Errc::guest_state where the guest panicked and nothing will come.
  Result<> await(int cancel);
  void close() { line_.fd.reset(); }

  // The guest's, or what stands for it.
  const std::string& name() const { return line_.name; }
  // Borrowed.
  int fd() const { return line_.fd.get(); }
  // Bytes that the guest has at most, where that is known.
  std::optional<std::uint64_t> memory() const { return line_.memory; }
  // Whether guests connect, so that another may come.
  bool takes_callers() const { return callers_.has_value(); }
  // How long a stream may still take to begin when its first byte is there; zero: for ever.
  std::chrono::milliseconds patience() const;

 private:
  using Clock = std::chrono::steady_clock;

  AwaitedLine(acquire::GuestLine line, std::chrono::seconds wait)
      : wait_(wait), line_(std::move(line)) {}
  Result<> check_witness() const;
  // Whether there is somebody.
  Result<bool> take_caller();
  std::chrono::milliseconds left() const;

  std::chrono::seconds wait_;
  Clock::time_point start_ = Clock::now();
  acquire::GuestLine line_;
  std::optional<acquire::Callers> callers_;  // where guests connect
};

}  // namespace vmcore::job
