// SPDX-License-Identifier: GPL-2.0-or-later
// CopiedMemory: a guest's memory, of which some pages are copied at once and read from the copy
// from then on, so that a paused guest need not wait for compression.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/image/page_set.h"

namespace vmcore::convert {

class CopiedMemory : public PhysicalMemory {
 public:
  // Copies of `memory` go into `room`. Both are borrowed.
  CopiedMemory(const PhysicalMemory& memory, std::span<std::byte> room, unsigned threads)
      : memory_(memory), room_(room), threads_(threads) {}

  // Copies those of the pages that are not copied yet, as far as there is room; unreadable pages
  // are not copied. Do not call while others read.
  Result<> take(const PageSet& pages);
  // Reads everything from the memory itself again.
  void forget();
  // What it has.
  const PageSet& pages() const { return pages_; }
  // Bytes of the room.
  std::size_t used() const { return used_; }

  Extent extent(PhysAddr address) const override;
  Extent outline(PhysAddr address) const override { return memory_.outline(address); }
  Presence presence(PhysAddr address) const override { return memory_.presence(address); }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;
  std::span<const std::byte> view(PhysRange range) const override;

 private:
  // Copied pages that are contiguous in memory and in the room.
  struct Run {
    PhysRange range;
    std::size_t place = 0;
  };

  // The first run that ends behind the address, or the end.
  std::vector<Run>::const_iterator run_at(PhysAddr address) const;
  void add(std::span<const ReadPart> parts);

  const PhysicalMemory& memory_;
  std::span<std::byte> room_;
  unsigned threads_;
  std::size_t used_ = 0;   // of the room
  std::vector<Run> runs_;  // sorted, disjoint
  PageSet pages_;
};

}  // namespace vmcore::convert
