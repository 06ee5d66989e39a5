// SPDX-License-Identifier: GPL-2.0-or-later
// What a worker may use at most, by its job: setrlimit(2); and what it may ask for.
#pragma once

#include <cstdint>

#include "src/sandbox/messages.h"

namespace vmcore::sandbox {

// Bytes that one Want asks for. Its answer is memory of the host's, until the worker has closed it.
inline constexpr std::uint64_t kMostWanted = 4U << 20;

struct Bounds {
  std::uint64_t memory = 0;   // bytes of its own (RLIMIT_DATA), heaps and stacks of all threads
  std::uint64_t file = 0;     // bytes from the start of a file to the last that it writes
  std::uint64_t seconds = 0;  // of processors, all threads together
  std::uint64_t fds = 0;      // one more than the highest descriptor
};

// `source`: bytes of the input where that is a file, else 0. The bounds are wide: what a job takes
// that ends by itself is far from them (docs/SECURITY.md has figures).
Bounds bounds_of(const Request& request, std::uint64_t source);

}  // namespace vmcore::sandbox
