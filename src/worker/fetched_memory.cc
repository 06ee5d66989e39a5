#include "src/worker/fetched_memory.h"

#include <algorithm>
#include <cstring>

#include "src/formats/dump_format.h"

namespace vmcore::worker {

Result<ReadExtent> FetchedMemory::read(PhysAddr address, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const PhysAddr at = address + done;
    const Extent extent = map_->extent(at);
    if (extent.presence == Presence::absent || extent.presence == Presence::excluded) {
      return ReadExtent{done, at};
    }
    TRY_ASSIGN(const ChunkPointer chunk, chunk_at(at));
    const std::uint64_t skip = at - chunk->range.begin;
    if (skip >= chunk->good) {
      return ReadExtent{done, at};
    }
    const std::size_t size = std::min<std::size_t>(out.size() - done, chunk->good - skip);
    std::memcpy(out.data() + done, chunk->bytes.data() + skip, size);
    done += size;
  }
  return ReadExtent{done, std::nullopt};
}

Result<FetchedMemory::ChunkPointer> FetchedMemory::chunk_at(PhysAddr address) const {
  const std::scoped_lock lock(mutex_);
  const auto found = std::find_if(chunks_.begin(), chunks_.end(), [&](const ChunkPointer& chunk) {
    return chunk->range.contains(address);
  });
  if (found != chunks_.end()) {
    chunks_.splice(chunks_.begin(), chunks_, found);
    return chunks_.front();
  }
  const PhysRange ram = map_->extent(address).range;
  const PhysAddr begin = std::max(ram.begin, PhysAddr{address.value / kChunkSize * kChunkSize});
  const PhysAddr end =
      std::min(ram.end(), PhysAddr{(address.value / kChunkSize + 1) * kChunkSize});
  TRY_ASSIGN(ChunkPointer chunk, fetch_chunk({begin, end - begin}));
  chunks_.push_front(chunk);
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

}  // namespace vmcore::worker
