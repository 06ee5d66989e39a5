// SPDX-License-Identifier: GPL-2.0-or-later
// RecentBlocks: what was read lately of a process, for the many small reads at nearby places that a
// walk makes (page tables, lists): each would have to ask another process. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

namespace vmcore::sources {

class RecentBlocks {
 public:
  static constexpr std::uint64_t kSize = 16 << 10;

  // `fresh`: how long a block is believed, because a guest that runs changes its memory.
  explicit RecentBlocks(std::chrono::steady_clock::duration fresh) : fresh_(fresh) {}

  // Whether `size` bytes from `address` on lie in one block.
  static bool fits(std::uint64_t address, std::size_t size) {
    return address % kSize + size <= kSize;
  }
  // Fills `out`, which fits, where its block is known and fresh.
  bool find(std::uint64_t address, std::span<std::byte> out) const;
  // Keeps a block: kSize bytes at a multiple of kSize.
  void keep(std::uint64_t address, std::span<const std::byte> bytes);

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kBlocks = 512;

  struct Block {
    std::uint64_t address = ~0ULL;  // none
    Clock::time_point read;
    std::vector<std::byte> bytes;
  };

  Clock::duration fresh_;
  mutable std::mutex mutex_;
  std::vector<Block> blocks_ = std::vector<Block>(kBlocks);
};

}  // namespace vmcore::sources
