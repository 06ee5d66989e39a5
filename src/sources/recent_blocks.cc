// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/recent_blocks.h"

#include <algorithm>

namespace vmcore::sources {
namespace {

std::uint64_t block_of(std::uint64_t address) {
  return address / RecentBlocks::kSize * RecentBlocks::kSize;
}

// Fibonacci hashing: neighbours, and what lies a power of two apart, get places of their own.
std::size_t place_of(std::uint64_t block, std::size_t places) {
  constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15;
  return static_cast<std::size_t>((block / RecentBlocks::kSize * kGolden) >> 32) % places;
}

}  // namespace

bool RecentBlocks::find(std::uint64_t address, std::span<std::byte> out) const {
  const std::uint64_t wanted = block_of(address);
  const std::scoped_lock lock(mutex_);
  const Block& block = blocks_[place_of(wanted, blocks_.size())];
  if (block.address != wanted || Clock::now() - block.read > fresh_) {
    return false;
  }
  std::ranges::copy(std::span(block.bytes).subspan(address - wanted, out.size()), out.begin());
  return true;
}

void RecentBlocks::keep(std::uint64_t address, std::span<const std::byte> bytes) {
  const std::scoped_lock lock(mutex_);
  Block& block = blocks_[place_of(address, blocks_.size())];
  block.address = address;
  block.read = Clock::now();
  block.bytes.assign(bytes.begin(), bytes.end());
}

}  // namespace vmcore::sources
