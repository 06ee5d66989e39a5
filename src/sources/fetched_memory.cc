// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/fetched_memory.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "src/formats/dump_format.h"
#include "src/image/page.h"

namespace vmcore::sources {
namespace {

PhysAddr page_of(PhysAddr address) { return {page_floor(address.value)}; }

}  // namespace

Extent FetchedMemory::extent(PhysAddr address) const {
  const auto& ranges = ram_.ranges();
  const auto next =
      std::ranges::upper_bound(ranges, address, {}, [](const PhysRange& ram) { return ram.end(); });
  if (next != ranges.end() && next->contains(address)) {
    return {{address, next->end() - address}, Presence::data};
  }
  const PhysAddr end = next != ranges.end() ? next->begin : PhysAddr{kMaxPhysAddr};
  return {{address, std::max(end, address) - address}, Presence::absent};
}

Result<ReadExtent> FetchedMemory::read(PhysAddr address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const PhysAddr at = address + done;
    if (!ram_.contains(at)) {
      return ReadExtent{done, page_of(at)};
    }
    TRY_ASSIGN(const ChunkPointer chunk, chunk_at(at));
    const std::uint64_t skip = at - chunk->range.begin;
    if (skip >= chunk->good) {
      return ReadExtent{done, page_of(at)};
    }
    const std::size_t size = std::min<std::size_t>(out.size() - done, chunk->good - skip);
    std::memcpy(out.data() + done, chunk->bytes.data() + skip, size);
    done += size;
  }
  return ReadExtent{done, std::nullopt};
}

// Chunks are aligned, so that no two of them overlap, and end where RAM ends: QEMU refuses a range
// that begins outside of it.
PhysRange FetchedMemory::chunk_range(PhysAddr address) const {
  const auto& ranges = ram_.ranges();
  const auto after = std::ranges::upper_bound(ranges, address, {}, &PhysRange::begin);
  const PhysRange ram = *std::prev(after);
  const PhysAddr aligned{address.value / kChunkSize * kChunkSize};
  const PhysAddr begin = std::max(ram.begin, aligned);
  const PhysAddr end = std::min(ram.end(), aligned + kChunkSize);
  return {begin, end - begin};
}

Result<FetchedMemory::ChunkPointer> FetchedMemory::chunk_at(PhysAddr address) const {
  const std::scoped_lock lock(mutex_);
  if (failed_) {
    return tl::unexpected(*failed_);
  }
  const auto found = std::find_if(chunks_.begin(), chunks_.end(), [&](const ChunkPointer& chunk) {
    return chunk->range.contains(address);
  });
  if (found != chunks_.end()) {
    chunks_.splice(chunks_.begin(), chunks_, found);
    return chunks_.front();
  }
  Result<ChunkPointer> chunk = fetch_chunk(chunk_range(address));
  if (!chunk) {
    failed_ = chunk.error();
    return chunk;
  }
  chunks_.push_front(*chunk);
  if (chunks_.size() > kChunksKept) {
    chunks_.pop_back();
  }
  return chunk;
}

Result<FetchedMemory::ChunkPointer> FetchedMemory::fetch_chunk(PhysRange range) const {
  TRY_ASSIGN(Fd file, fetch_(range));
  TRY_ASSIGN(const MemoryImage dump, formats::open_dump(std::move(file)));
  auto chunk = std::make_shared<Chunk>();
  chunk->range = range;
  chunk->bytes.resize(range.size);
  TRY_ASSIGN(const ReadExtent got, dump.memory->read(range.begin, chunk->bytes));
  chunk->good = got.good;
  return chunk;
}

}  // namespace vmcore::sources
