// SPDX-License-Identifier: GPL-2.0-or-later
// The RAM of a migration stream, laid down in a file at guest-physical addresses.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "src/base/range_set.h"
#include "src/base/result.h"
#include "src/formats/elf/memory.h"
#include "src/formats/qemu/migration_stream.h"
#include "src/image/page_set.h"
#include "src/sandbox/messages.h"

namespace vmcore::sources {

class SnapshotSpool : public formats::PageSink {
 public:
  // `ram` is the guest's RAM; `places` may name more. `consumed` is called with the position up to
  // which the stream was read. Both are borrowed.
  SnapshotSpool(int spool, const RangeSet& ram, const std::vector<sandbox::BlockPlace>& places,
                std::function<Result<>(std::uint64_t)> consumed);

  Result<> blocks(std::span<const formats::StreamBlock> blocks) override;
  Result<> page(std::size_t block, std::uint64_t offset, std::span<const std::byte> page) override;
  Result<> passed(std::uint64_t offset) override { return consumed_(offset); }

  // Ends the writing. What the file holds, for ElfMemory; pages that never came lie behind its end.
  Result<std::vector<formats::LoadSegment>> finish();
  // Of RAM: what has no block in the stream. Known after blocks().
  const RangeSet& left_out() const { return left_out_; }
  // Pages of RAM that never came. Known after finish().
  std::uint64_t missing_pages() const { return missing_.count(); }

 private:
  // A part of a block that a guest sees.
  struct Window {
    std::uint64_t offset = 0;  // of the block
    PhysRange range;
  };

  Result<> place(std::span<const formats::StreamBlock> blocks, const sandbox::BlockPlace& place);
  Result<> put(PhysAddr address, std::span<const std::byte> page);
  Result<> flush();

  int spool_;
  const RangeSet& ram_;
  const std::vector<sandbox::BlockPlace>& places_;
  std::function<Result<>(std::uint64_t)> consumed_;
  std::vector<std::vector<Window>> windows_;  // of each block
  RangeSet placed_;
  RangeSet left_out_;
  PageSet missing_;
  std::vector<std::byte> run_;  // pages that are not written yet, neighbours
  PhysAddr run_begin_;
};

}  // namespace vmcore::sources
