// SPDX-License-Identifier: GPL-2.0-or-later
// Physical memory in chunks, for whoever looks through much of it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/image/memory.h"
#include "src/image/page.h"

namespace vmcore::kernel {

// Calls each(address, bytes) for the memory of `range` that can be had, in chunks of at most a MiB
// that begin at multiples of a page, until it returns true; whether it did.
template <class Each>
Result<bool> for_each_chunk(const PhysicalMemory& memory, PhysRange range, Each each) {
  constexpr std::size_t kChunkBytes = 1 << 20;
  std::vector<std::byte> buffer;
  for (std::uint64_t done = 0; done < range.size;) {
    const PhysAddr at = range.begin + done;
    const std::size_t size = std::min<std::uint64_t>(kChunkBytes, range.size - done);
    std::span<const std::byte> bytes = memory.view({at, size});
    std::uint64_t step = bytes.size();
    if (bytes.empty()) {
      step = size;
      buffer.resize(size);
      TRY_ASSIGN(const ReadExtent got, memory.read(at, buffer));
      bytes = std::span(buffer).first(got.good);
      if (got.good < size) {
        step = (got.good / kPageSize + 1) * kPageSize;  // past the page that cannot be had
      }
    }
    TRY_ASSIGN(const bool enough, each(at, bytes));
    if (enough) {
      return true;
    }
    done += step;
  }
  return false;
}

// The same for the data of `range`: zeros and holes are stepped over.
template <class Each>
Result<bool> for_each_data_chunk(const PhysicalMemory& memory, PhysRange range, Each each) {
  for (PhysAddr address = range.begin; address < range.end();) {
    const Extent extent = memory.extent(address);
    if (extent.range.end() <= address) {
      break;  // a source that does not advance would hang us
    }
    const PhysAddr end = std::min(extent.range.end(), range.end());
    if (extent.presence == Presence::data) {
      TRY_ASSIGN(const bool enough, for_each_chunk(memory, {address, end - address}, each));
      if (enough) {
        return true;
      }
    }
    address = end;
  }
  return false;
}

}  // namespace vmcore::kernel
