// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/forecast.h"

#include <algorithm>

namespace vmcore::job {
namespace {

using Milliseconds = std::chrono::milliseconds;
using Seconds = std::chrono::duration<double>;

// Measured (docs/performance.md), with two threads. All that is read before the guest runs on is
// copied at this rate, bytes a second: 7e9 of a file, 13e9 of private memory, half of it on a host
// that is busy.
constexpr Span<double> kCopy{5e9, 13e9};
// Compressing with zstd's level 1, a thread: hardly a zero, and nearly half zeros.
constexpr Span<double> kCompress{150e6, 600e6};
// All memory through QEMU's pipe, while it is compressed or spooled.
constexpr Span<double> kStream{0.6e9, 2.1e9};
// The kernel's symbols, QEMU's headers, and the end of its dump.
constexpr Span<Seconds> kPauseAtLeast{Seconds(0.004), Seconds(0.025)};
// Starting, a look at the guest while it runs, syncing the file.
constexpr Span<Seconds> kTimeAtLeast{Seconds(0.05), Seconds(0.4)};
// What is kept is this many times as large as its file: mostly (5 to 10 were measured), and where
// little compresses.
constexpr std::uint64_t kRatio = 6;
constexpr std::uint64_t kLeastRatio = 2;

Seconds seconds_for(std::uint64_t bytes, double rate) {
  return Seconds(static_cast<double>(bytes) / rate);
}

Milliseconds rounded(Seconds time) { return std::chrono::round<Milliseconds>(time); }

}  // namespace

Forecast forecast(const Workload& work) {
  const double threads = std::max(work.threads, 1U);
  const std::uint64_t copied = work.kept_bytes + work.page_struct_bytes;
  // What does not fit into memory is compressed while the guest waits.
  const std::uint64_t waited_for = work.kept_bytes - std::min(work.kept_bytes, work.read_ahead);
  const std::uint64_t held = work.kept_bytes - waited_for;
  const auto pause = [&](Seconds at_least, double copy, double compress) {
    return at_least + seconds_for(copied, copy) + seconds_for(waited_for, compress * threads);
  };
  const Seconds least = pause(kPauseAtLeast.least, kCopy.most, kCompress.most);
  const Seconds most = pause(kPauseAtLeast.most, kCopy.least, kCompress.least);
  return {
      .pause = {rounded(least), rounded(most)},
      .time = {rounded(kTimeAtLeast.least + least + seconds_for(held, kCompress.most * threads)),
               rounded(kTimeAtLeast.most + most + seconds_for(held, kCompress.least * threads))},
      .size_bytes = work.kept_bytes / kRatio,
      .most_size_bytes = work.kept_bytes / kLeastRatio};
}

bool is_compressed(const Conversion& how) {
  return how.format == DumpFormat::kdump && how.codec != Codec::none;
}

std::uint64_t least_size(const Conversion& how, std::uint64_t kept_bytes) {
  constexpr std::uint64_t kBestRatio = 20;  // twice the best that was measured
  return is_compressed(how) ? kept_bytes / kBestRatio : kept_bytes;
}

Span<Milliseconds> forecast_stream_pause(std::uint64_t memory_bytes) {
  return {rounded(kPauseAtLeast.least + seconds_for(memory_bytes, kStream.most)),
          rounded(kPauseAtLeast.most + seconds_for(memory_bytes, kStream.least))};
}

}  // namespace vmcore::job
