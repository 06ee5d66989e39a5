// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/copied_memory.h"

#include <algorithm>
#include <cstring>

#include "src/convert/shards.h"
#include "src/image/page.h"

namespace vmcore::convert {

Result<> CopiedMemory::take(const PageSet& pages) {
  std::vector<ReadPart> parts;
  const auto take_part = [&](PfnRange part) {
    const std::size_t room = (room_.size() - used_) / kPageSize * kPageSize;
    const std::size_t size = std::min<std::uint64_t>(room, part.count * kPageSize);
    if (size != 0) {
      parts.push_back({address_of(part.first), room_.subspan(used_, size)});
      used_ += size;
    }
  };
  const PageSet missing = without(pages, pages_);
  const Pfn end = missing.end();
  for (PfnRange part = missing.next_run({0}, end, kShardPages); part.count != 0;
       part = missing.next_run(part.end(), end, kShardPages)) {
    take_part(part);
  }
  TRY(memory_.read_parts(parts, threads_));
  add(parts);
  return {};
}

void CopiedMemory::forget() {
  used_ = 0;
  runs_.clear();
  pages_ = {};
}

void CopiedMemory::add(std::span<const ReadPart> parts) {
  for (const ReadPart& part : parts) {
    const std::uint64_t pages = part.good / kPageSize;
    if (pages != 0) {
      pages_.insert({pfn_of(part.address), pages});
      runs_.push_back({{part.address, pages * kPageSize},
                       static_cast<std::size_t>(part.out.data() - room_.data())});
    }
  }
  const auto begin = [](const Run& run) { return run.range.begin; };
  if (!std::ranges::is_sorted(runs_, {}, begin)) {  // mostly they are
    std::ranges::sort(runs_, {}, begin);
  }
  std::vector<Run> joined;
  for (const Run& run : runs_) {
    if (!joined.empty() && joined.back().range.end() == run.range.begin &&
        joined.back().place + joined.back().range.size == run.place) {
      joined.back().range.size += run.range.size;
    } else {
      joined.push_back(run);
    }
  }
  runs_ = std::move(joined);
}

std::vector<CopiedMemory::Run>::const_iterator CopiedMemory::run_at(PhysAddr address) const {
  return std::ranges::upper_bound(runs_, address, {},
                                  [](const Run& run) { return run.range.end(); });
}

Extent CopiedMemory::extent(PhysAddr address) const {
  const auto run = run_at(address);
  if (run != runs_.end() && run->range.contains(address)) {
    return {run->range, Presence::data};
  }
  return memory_.extent(address);
}

std::span<const std::byte> CopiedMemory::view(PhysRange range) const {
  const auto run = run_at(range.begin);
  if (run == runs_.end() || !run->range.contains(range.begin)) {
    return {};
  }
  return room_.subspan(run->place + (range.begin - run->range.begin),
                       std::min(range.size, run->range.end() - range.begin));
}

Result<ReadExtent> CopiedMemory::read(PhysAddr address, std::span<std::byte> out) const {
  for (std::size_t done = 0; done < out.size();) {
    const PhysAddr at = address + done;
    const std::span<const std::byte> copied = view({at, out.size() - done});
    if (!copied.empty()) {
      std::memcpy(out.data() + done, copied.data(), copied.size());
      done += copied.size();
      continue;
    }
    const auto next = run_at(at);
    const std::size_t size =
        next == runs_.end() ? out.size() - done
                            : std::min<std::uint64_t>(out.size() - done, next->range.begin - at);
    TRY_ASSIGN(const ReadExtent got, memory_.read(at, out.subspan(done, size)));
    if (got.good < size) {
      return ReadExtent{done + got.good, got.first_bad};
    }
    done += size;
  }
  return ReadExtent{out.size(), std::nullopt};
}

}  // namespace vmcore::convert
