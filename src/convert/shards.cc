// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/shards.h"

#include <algorithm>

#include "src/image/page.h"

namespace vmcore::convert {
namespace {

// Up to a shard of zero pages. Memory that is never written takes no room, and is tested from the
// nearest cache.
std::span<const std::byte> zeros(std::uint64_t pages) {
  static std::byte bytes[kShardPages * kPageSize];
  return std::span(bytes).first(pages * kPageSize);
}

}  // namespace

PfnRange ShardQueue::next_run(std::uint64_t most) {
  PfnRange run = pages_.next_run(next_, end_, most);
  while (except_ != nullptr && run.count != 0) {
    const PfnRange passed = except_->next_run(run.first, run.end());
    if (passed.count == 0 || passed.first > run.first) {
      run.count = passed.count == 0 ? run.count : passed.first - run.first;
      break;
    }
    run = pages_.next_run(passed.end(), end_, most);
  }
  return run;
}

std::vector<PfnRange> ShardQueue::claim(bool& last) {
  const std::scoped_lock lock(mutex_);
  std::vector<PfnRange> shard;
  for (std::uint64_t room = kShardPages; room > 0;) {
    const PfnRange run = next_run(room);
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

Result<> ShardBuffer::read(const PhysicalMemory& memory, std::span<const PfnRange> shard,
                           const PageSet& zero) {
  runs_.clear();
  lost_ = 0;
  std::size_t used = 0;
  for (const PfnRange& run : shard) {
    const std::size_t size = run.count * kPageSize;
    TRY(read_known(memory, run, zero, std::span(bytes_).subspan(used, size)));
    used += size;
  }
  return {};
}

Result<> ShardBuffer::read_known(const PhysicalMemory& memory, PfnRange run, const PageSet& zero,
                                 std::span<std::byte> out) {
  for (Pfn at = run.first; at < run.end();) {
    const PfnRange hole = zero.next_run(at, run.end());
    const Pfn hole_begin = hole.count != 0 ? hole.first : run.end();
    TRY(read_run(memory, {at, hole_begin - at}, out.subspan((at - run.first) * kPageSize)));
    if (hole.count != 0) {
      runs_.push_back({hole.first, zeros(hole.count)});
    }
    at = hole_begin + hole.count;
  }
  return {};
}

Result<> ShardBuffer::read_run(const PhysicalMemory& memory, PfnRange run,
                               std::span<std::byte> out) {
  for (std::uint64_t done = 0; done < run.count;) {
    const Pfn first = run.first + done;
    const auto rest = out.subspan(done * kPageSize, (run.count - done) * kPageSize);
    if (const auto lent = memory.view({address_of(first), rest.size()}); !lent.empty()) {
      runs_.push_back({first, lent});
      done += lent.size() / kPageSize;
      continue;
    }
    TRY_ASSIGN(const ReadExtent got, memory.read(address_of(first), rest));
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
