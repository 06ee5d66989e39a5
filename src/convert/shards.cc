#include "src/convert/shards.h"

#include <algorithm>

namespace vmcore::convert {

std::vector<PfnRange> ShardQueue::claim(bool& last) {
  const std::scoped_lock lock(mutex_);
  std::vector<PfnRange> shard;
  for (std::uint64_t room = kShardPages; room > 0;) {
    const PfnRange run = pages_.next_run(next_, end_, room);
    if (run.count == 0) {
      next_ = end_;
      break;
    }
    room -= run.count;
    next_ = run.end();
    shard.push_back(run);
  }
  last = next_ >= end_;
  return shard;
}

Result<> ShardBuffer::read(const PhysicalMemory& memory, std::span<const PfnRange> shard) {
  runs_.clear();
  lost_ = 0;
  std::size_t used = 0;
  for (const PfnRange& run : shard) {
    const std::size_t size = run.count * kPageSize;
    TRY(read_run(memory, run, std::span(bytes_.get(), kSize).subspan(used, size)));
    used += size;
  }
  return {};
}

Result<> ShardBuffer::read_run(const PhysicalMemory& memory, PfnRange run,
                               std::span<std::byte> out) {
  for (std::uint64_t done = 0; done < run.count;) {
    const Pfn first = run.first + done;
    const auto rest = out.subspan(done * kPageSize);
    TRY_ASSIGN(const ReadExtent got, memory.read({first.value * kPageSize}, rest));
    const std::uint64_t good = got.good / kPageSize;
    if (good > 0) {
      runs_.push_back({first, rest.first(good * kPageSize)});
    }
    done += good;
    if (done < run.count) {
      ++lost_;  // the page that could not be had
      ++done;
    }
  }
  return {};
}

}  // namespace vmcore::convert
