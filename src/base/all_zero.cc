// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/all_zero.h"

#include <cstdint>
#include <cstring>

namespace vmcore {
namespace {

// 256 bytes at a time: long enough that the compiler uses vectors, short enough that a page with
// data is left at its first line.
constexpr std::size_t kStep = 256;

bool step_is_zero(const std::byte* bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kStep; i += sizeof(std::uint64_t)) {
    std::uint64_t word;
    std::memcpy(&word, bytes + i, sizeof(word));
    sum |= word;
  }
  return sum == 0;
}

}  // namespace

bool all_zero(std::span<const std::byte> bytes) {
  while (bytes.size() >= kStep) {
    if (!step_is_zero(bytes.data())) {
      return false;
    }
    bytes = bytes.subspan(kStep);
  }
  for (const std::byte byte : bytes) {
    if (byte != std::byte{0}) {
      return false;
    }
  }
  return true;
}

}  // namespace vmcore
