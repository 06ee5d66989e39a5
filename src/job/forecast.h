// SPDX-License-Identifier: GPL-2.0-or-later
// The cost of a dump, estimated beforehand from the number of pages that it would keep.
#pragma once

#include <chrono>
#include <cstdint>

#include "src/image/conversion.h"

namespace vmcore::job {

// A dump by method direct, compressed with zstd.
struct Workload {
  std::uint64_t kept_bytes = 0;
  std::uint64_t page_struct_bytes = 0;  // read before: they tell what is kept
  std::uint64_t read_ahead = 0;         // bytes that are held so that the guest need not wait
  unsigned threads = 1;
};

// A range, unless the host has other work.
template <class T>
struct Span {
  T least{};
  T most{};
};

struct Forecast {
  Span<std::chrono::milliseconds> pause;  // of a guest that runs
  Span<std::chrono::milliseconds> time;   // of it all
  std::uint64_t size_bytes = 0;           // of the file, as guests' memory mostly is
  std::uint64_t most_size_bytes = 0;      // where little of it compresses
};

Forecast forecast(const Workload& workload);

// Whether that many bytes of kept pages get smaller in a dump.
bool is_compressed(const Conversion& how);
// Bytes that such a dump takes at least, however well its pages compress.
std::uint64_t least_size(const Conversion& how, std::uint64_t kept_bytes);

// How long a running guest is paused if all of its memory is read through a pipe (methods qmp and
// libvirt).
Span<std::chrono::milliseconds> forecast_stream_pause(std::uint64_t memory_bytes);

// For as many pages of RAM; struct page has 64 bytes on x86-64 (Linux 2.6.25 to 6.18).
inline constexpr std::uint64_t kPageStructSize = 64;

}  // namespace vmcore::job
