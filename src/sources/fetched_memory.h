// SPDX-License-Identifier: GPL-2.0-or-later
// FetchedMemory: guest RAM that the program that started us fetches chunk by chunk, as it is
// needed: ranged dumps of a guest that stands still.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/sandbox/bounds.h"

namespace vmcore::sources {

class FetchedMemory : public PhysicalMemory {
 public:
  // Returns a dump file that holds at least the range. Called by one thread at a time, and not
  // again once it failed: every later read fails as that one did, because what was read before and
  // what would be read now may be of two guests.
  using Fetch = std::function<Result<Fd>(PhysRange)>;

  FetchedMemory(RangeSet ram, Fetch fetch) : ram_(std::move(ram)), fetch_(std::move(fetch)) {}

  Extent extent(PhysAddr address) const override;
  Presence presence(PhysAddr address) const override {
    return ram_.contains(address) ? Presence::data : Presence::absent;
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;

 private:
  // A ranged dump costs about 1 ms and 1 ms a MiB: small enough to follow the kept pages, large
  // enough not to drown in commands.
  static constexpr std::uint64_t kChunkSize = sandbox::kMostWanted;
  // Threads walk the same neighbourhood; page tables and struct pages lie elsewhere.
  static constexpr std::size_t kChunksKept = 8;

  struct Chunk {
    PhysRange range;
    std::vector<std::byte> bytes;
    std::size_t good = 0;  // a prefix: what the dump held
  };
  using ChunkPointer = std::shared_ptr<const Chunk>;

  // The piece of RAM around the address that is fetched as one.
  PhysRange chunk_range(PhysAddr address) const;
  Result<ChunkPointer> chunk_at(PhysAddr address) const;
  Result<ChunkPointer> fetch_chunk(PhysRange range) const;

  RangeSet ram_;
  Fetch fetch_;
  mutable std::mutex mutex_;
  mutable std::list<ChunkPointer> chunks_;  // the most recently used first
  mutable std::optional<Error> failed_;
};

}  // namespace vmcore::sources
