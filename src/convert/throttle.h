// SPDX-License-Identifier: GPL-2.0-or-later
// Throttle: limits work to a number of bytes a second, over all threads.
#pragma once

#include <chrono>
#include <cstdint>

namespace vmcore::convert {

class Throttle {
 public:
  using Clock = std::chrono::steady_clock;
  // Zero: work is not held back.
  explicit Throttle(std::uint64_t bytes_a_second) : rate_(bytes_a_second) {}

  // Accepts that many bytes; work on them may begin at the returned time. Not thread-safe.
  Clock::time_point take(std::uint64_t bytes, Clock::time_point now) {
    if (rate_ == 0) {
      return now;
    }
    const auto begin = free_ > now ? free_ : now;
    free_ = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                        static_cast<double>(bytes) / static_cast<double>(rate_)));
    return begin;
  }

 private:
  std::uint64_t rate_;
  Clock::time_point free_{};
};

}  // namespace vmcore::convert
