// SPDX-License-Identifier: GPL-2.0-or-later
// Shards: the kept pages in portions of a MiB, each claimed by one thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/formats/dump_writer.h"
#include "src/image/memory.h"
#include "src/image/page.h"
#include "src/image/page_set.h"

namespace vmcore::convert {

// 1 MiB: amortises a claim, and what two threads read and encode fits the caches.
inline constexpr std::uint64_t kShardPages = 256;
inline constexpr std::uint64_t kShardSize = kShardPages * kPageSize;

// Hands out the members of a set that are not in another one, in ascending order. Thread-safe.
class ShardQueue {
 public:
  // Borrowed; `except` may be null.
  explicit ShardQueue(const PageSet& pages, const PageSet* except = nullptr)
      : pages_(pages), except_(except), end_(pages.end()) {}
  // The runs of the next shard, at most kShardPages pages in all; empty when there is no more.
  // `last` is set where nothing follows this shard.
  std::vector<PfnRange> claim(bool& last);

 private:
  PfnRange next_run(std::uint64_t most);

  const PageSet& pages_;
  const PageSet* except_;
  Pfn end_;
  std::mutex mutex_;
  Pfn next_{0};
};

// The bytes of one shard.
class ShardBuffer {
 public:
  // Reads the runs, or borrows what the memory lends; pages of `zero` are zeros. Pages that cannot
  // be had are left out of runs() and counted in lost().
  Result<> read(const PhysicalMemory& memory, std::span<const PfnRange> shard, const PageSet& zero);
  // Valid until the next read().
  std::span<const formats::PageRun> runs() const { return runs_; }
  std::uint64_t lost() const { return lost_; }

 private:
  Result<> read_known(const PhysicalMemory& memory, PfnRange run, const PageSet& zero,
                      std::span<std::byte> out);
  Result<> read_run(const PhysicalMemory& memory, PfnRange run, std::span<std::byte> out);

  std::vector<std::byte> bytes_ = std::vector<std::byte>(kShardSize);
  std::vector<formats::PageRun> runs_;
  std::uint64_t lost_ = 0;
};

}  // namespace vmcore::convert
