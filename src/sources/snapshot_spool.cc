// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/snapshot_spool.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "src/base/sys.h"
#include "src/image/page.h"

namespace vmcore::sources {
namespace {

using formats::StreamBlock;
using sandbox::BlockPlace;

constexpr std::size_t kMostRun = 1U << 20;
// Memory of devices is smaller than this where it has no block in the stream; RAM is not.
constexpr std::uint64_t kLeastRam = 1U << 20;

constexpr std::array<std::byte, kPageSize> kZeros{};

// The block that a place speaks of. QEMU puts the device's path in front of a block's name where it
// is a device's (QEMU softmmu/physmem.c, qemu_ram_set_idstr).
std::optional<std::size_t> find_block(std::span<const StreamBlock> blocks,
                                      const BlockPlace& place) {
  std::optional<std::size_t> found;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::string_view name = blocks[i].name;
    const bool fits =
        blocks[i].size >= place.offset && blocks[i].size - place.offset >= place.range.size;
    if (name == place.block && fits) {
      return i;
    }
    if (name.ends_with("/" + place.block) && fits) {
      if (found) {
        return std::nullopt;  // two devices of a kind
      }
      found = i;
    }
  }
  return found;
}

// The part of the range from `begin` on that the set has in one piece.
PhysRange part_in(const RangeSet& set, PhysRange range) {
  for (const PhysRange& member : set.ranges()) {
    const PhysAddr begin = std::max(member.begin, range.begin);
    const PhysAddr end = std::min(member.end(), range.end());
    if (begin < end) {
      return {begin, end - begin};
    }
  }
  return {range.end(), 0};
}

PfnRange pages_of(const PhysRange& range) { return {pfn_of(range.begin), range.size / kPageSize}; }

}  // namespace

SnapshotSpool::SnapshotSpool(int spool, const RangeSet& ram, const std::vector<BlockPlace>& places,
                             std::function<Result<>(std::uint64_t)> consumed)
    : spool_(spool), ram_(ram), places_(places), consumed_(std::move(consumed)) {
  run_.reserve(kMostRun);
}

// Of a place, what is RAM in the dump's eyes.
Result<> SnapshotSpool::place(std::span<const StreamBlock> blocks, const BlockPlace& place) {
  const auto block = find_block(blocks, place);
  PhysRange rest = place.range;
  while (rest.size != 0) {
    const PhysRange part = part_in(ram_, rest);
    rest = {part.end(), rest.end() - part.end()};
    if (part.size == 0) {
      break;
    }
    placed_.add(part);
    if (part.begin.value % kPageSize != 0 || part.size % kPageSize != 0 || !block) {
      if (part.size >= kLeastRam) {
        return fail(Errc::unsupported,
                    "the memory at {:#x} ({}) is not in QEMU's snapshot: use --consistency pause",
                    part.begin.value, place.block);
      }
      left_out_.add(part);
      continue;
    }
    windows_[*block].push_back({place.offset + (part.begin - place.range.begin), part});
    missing_.insert(pages_of(part));
  }
  return {};
}

Result<> SnapshotSpool::blocks(std::span<const StreamBlock> blocks) {
  windows_.resize(blocks.size());
  for (const BlockPlace& entry : places_) {
    TRY(place(blocks, entry));
  }
  if (placed_ != ram_) {
    return fail(Errc::unsupported,
                "QEMU's dump and its map of memory show different RAM ({} and {} bytes): use "
                "--consistency pause",
                ram_.size(), placed_.size());
  }
  return {};
}

Result<> SnapshotSpool::page(std::size_t block, std::uint64_t offset,
                             std::span<const std::byte> page) {
  for (const Window& window : windows_[block]) {
    if (offset >= window.offset && offset - window.offset < window.range.size) {
      TRY(put(window.range.begin + (offset - window.offset), page));
    }
  }
  return {};
}

Result<> SnapshotSpool::put(PhysAddr address, std::span<const std::byte> page) {
  const PfnRange one = pages_of({address, kPageSize});
  const bool first = missing_.contains(one.first);
  if (page.empty() && first) {
    missing_.erase(one);
    return {};  // stays a hole
  }
  if (page.empty()) {
    page = kZeros;
  }
  missing_.erase(one);
  if (run_begin_ + run_.size() != address || run_.size() == kMostRun) {
    TRY(flush());
    run_begin_ = address;
  }
  run_.insert(run_.end(), page.begin(), page.end());
  return {};
}

Result<> SnapshotSpool::flush() {
  TRY(sys::pwrite_full(spool_, run_, run_begin_.value));
  run_.clear();
  return {};
}

Result<std::vector<formats::LoadSegment>> SnapshotSpool::finish() {
  TRY(flush());
  std::uint64_t end = 0;
  std::vector<formats::LoadSegment> segments;
  const auto add = [&](PhysAddr begin, PhysAddr until, bool came) {
    if (begin < until) {
      segments.push_back({.physical = {begin, until - begin},
                          .file_size = until - begin,
                          .file_offset = came ? begin.value : kMaxPhysAddr});
    }
  };
  for (const auto& windows : windows_) {
    for (const Window& window : windows) {
      const PhysRange& range = window.range;
      const PfnRange pages = pages_of(range);
      end = std::max(end, range.end().value);
      PhysAddr at = range.begin;
      for (PfnRange run = missing_.next_run(pages.first, pages.end()); run.count != 0;
           run = missing_.next_run(run.end(), pages.end())) {
        const PhysAddr begin = address_of(run.first);
        add(at, begin, true);
        at = address_of(run.end());
        add(begin, at, false);
      }
      add(at, range.end(), true);
    }
  }
  TRY(sys::truncate(spool_, end));
  return segments;
}

}  // namespace vmcore::sources
