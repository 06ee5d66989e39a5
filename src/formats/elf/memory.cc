// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "src/image/page.h"

namespace vmcore::formats {
namespace {

// A tail without data takes nothing in this file, but 24 bytes a page where it is written as pages
// of zeros. Files of a few KiB that claim TiB are not taken at their word.
constexpr std::uint64_t kMostTail = 1024;  // times the size of the file

}  // namespace

ElfMemory::ElfMemory(std::unique_ptr<ByteSource> source, std::span<const LoadSegment> segments)
    : source_(std::move(source)) {
  std::vector<Mapping> mappings;
  mappings.reserve(segments.size());
  std::uint32_t order = 0;
  for (const LoadSegment& segment : segments) {
    add_segment(segment, order++, mappings);
  }
  map_ = IntervalMap(std::move(mappings));
  round_losses();
  if (tail_bytes() / kMostTail > source_->size()) {
    tail_ = Presence::excluded;
  }
}

void ElfMemory::round_losses() {
  std::vector<Mapping> torn;
  const auto add = [&](std::uint64_t address) {
    if (const std::uint64_t page = page_floor(address); page != address) {
      torn.push_back({page, kPageSize, page, kTorn, 0});
    }
  };
  for (const Mapping& mapping : map_.mappings()) {
    if (mapping.kind == kLost) {
      add(mapping.begin);
      add(mapping.end());
    }
  }
  if (!torn.empty()) {
    torn.insert(torn.end(), map_.mappings().begin(), map_.mappings().end());
    map_ = IntervalMap(std::move(torn));
  }
}

// Only data has a place in the file; the others get their own address as target, so that
// neighbours join.
void ElfMemory::add_segment(const LoadSegment& segment, std::uint32_t order,
                            std::vector<Mapping>& out) const {
  const auto add = [&](Kind kind, std::uint64_t begin, std::uint64_t end, std::uint64_t target) {
    if (begin < end) {
      out.push_back({begin, end - begin, target, kind, order});
    }
  };
  const std::uint64_t begin = segment.physical.begin.value;
  const std::uint64_t data_end = begin + segment.file_size;
  const std::uint64_t first_page = page_floor(begin);
  const std::uint64_t last_page_end = page_ceil(segment.physical.end().value);
  if (segment.file_size == 0) {
    add(kTail, first_page, last_page_end, first_page);
    return;
  }
  std::uint64_t there = data_end;
  if (segment.file_offset + segment.file_size > source_->size()) {
    const std::uint64_t in_file =
        source_->size() > segment.file_offset ? source_->size() - segment.file_offset : 0;
    there = std::max(begin, page_floor(begin + in_file));  // half a page is a lost page
  }
  add(kData, begin, there, segment.file_offset);
  add(kLost, there, data_end, there);
  add(kPadding, first_page, page_ceil(data_end), first_page);
  add(kTail, page_ceil(data_end), last_page_end, page_ceil(data_end));
}

FileRun ElfMemory::file_run(std::uint64_t offset) const {
  const std::lock_guard lock(mutex_);
  if (offset < known_at_ || offset - known_at_ >= known_.size) {
    known_ = source_->run(offset);
    known_at_ = offset;
  }
  return {known_.size - (offset - known_at_), known_.hole};
}

Extent ElfMemory::data_run(PhysAddr address, const Mapping& mapping) const {
  const std::uint64_t page = page_floor(address.value);
  const std::uint64_t page_end = page + kPageSize;
  if (page < mapping.begin || page_end > mapping.end()) {
    // A page of two mappings is data, whatever they hold.
    return {{address, std::min(page_end, mapping.end()) - address.value}, Presence::data};
  }
  const FileRun run = file_run(mapping.target + (page - mapping.begin));
  const std::uint64_t run_end = page + std::min(run.size, mapping.end() - page);
  if (run.hole && run_end >= page_end) {
    return {{address, page_floor(run_end) - address.value}, Presence::zero};
  }
  const std::uint64_t end = run.hole ? page_end : std::min(page_ceil(run_end), mapping.end());
  return {{address, std::max(end, page_end) - address.value}, Presence::data};
}

Extent ElfMemory::mapped_run(PhysAddr address) const {
  const Mapping* mapping = map_.find(address.value);
  if (!mapping) {
    const std::uint64_t end = std::max(map_.next_begin(address.value, kMaxPhysAddr), address.value);
    return {{address, end - address.value}, Presence::absent};
  }
  if (mapping->kind == kData) {
    return data_run(address, *mapping);
  }
  const PhysRange range{address, mapping->end() - address.value};
  switch (mapping->kind) {
    case kTail:
      return {range, tail_};
    case kTorn:
    case kLost:
      return {range, Presence::lost};
    default:
      return {range, Presence::data};
  }
}

Extent ElfMemory::extent(PhysAddr address) const {
  Extent extent = mapped_run(address);
  while (extent.range.size != 0 && extent.range.end().value < kMaxPhysAddr) {
    const Extent next = mapped_run(extent.range.end());
    if (next.presence != extent.presence || next.range.size == 0) {
      break;
    }
    extent.range.size += next.range.size;
  }
  return extent;
}

Presence ElfMemory::presence(PhysAddr address) const { return mapped_run(address).presence; }

Result<ReadExtent> ElfMemory::read(PhysAddr address, std::span<std::byte> out) const {
  ReadExtent result;
  while (result.good < out.size()) {
    const std::uint64_t at = address.value + result.good;
    const Mapping* mapping = map_.find(at);
    std::size_t got = 0;
    std::size_t wanted = 0;
    const bool zeros = mapping && (mapping->kind == kPadding ||
                                   (mapping->kind == kTail && tail_ == Presence::zero));
    if (mapping && (mapping->kind == kData || zeros)) {
      const std::uint64_t left = mapping->end() - at;
      wanted = std::min<std::uint64_t>(out.size() - result.good, left);
      const auto piece = out.subspan(result.good, wanted);
      if (zeros) {
        std::memset(piece.data(), 0, piece.size());
        got = wanted;
      } else {
        TRY_ASSIGN(got, source_->read(mapping->target + (at - mapping->begin), piece));
      }
    }
    if (wanted == 0 || got < wanted) {
      const std::uint64_t bad = page_floor(at + got);
      result.good = bad > address.value ? bad - address.value : 0;
      result.first_bad = PhysAddr{bad};
      return result;
    }
    result.good += got;
  }
  return result;
}

std::uint64_t ElfMemory::lost_bytes() const {
  std::uint64_t sum = 0;
  for (const Mapping& mapping : map_.mappings()) {
    if (mapping.kind == kLost || mapping.kind == kTorn) {
      sum += page_ceil(mapping.end()) - page_floor(mapping.begin);
    }
  }
  return sum;
}

std::uint64_t ElfMemory::tail_bytes() const {
  std::uint64_t sum = 0;
  for (const Mapping& mapping : map_.mappings()) {
    sum += mapping.kind == kTail ? mapping.size : 0;
  }
  return sum;
}

}  // namespace vmcore::formats
