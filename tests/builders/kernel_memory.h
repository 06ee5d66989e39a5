// SPDX-License-Identifier: GPL-2.0-or-later
// SparseMemory: guest RAM of tests. Pages that were never written are zero and take no room.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <vector>

#include "src/image/memory.h"
#include "src/image/page.h"

namespace vmcore::testing {

class SparseMemory : public PhysicalMemory {
 public:
  // `ram`: ranges of whole pages.
  explicit SparseMemory(std::vector<PhysRange> ram);

  // Writes may pass pages, but must stay in RAM.
  void write(PhysAddr address, std::span<const std::byte> bytes);
  template <class T>
  void write_value(PhysAddr address, const T& value) {
    write(address, std::as_bytes(std::span<const T, 1>(&value, 1)));
  }
  // The page is RAM, but its contents are not in the image.
  void exclude(Pfn pfn) { excluded_.insert(pfn.value); }
  // Makes pages that were never written Presence::zero; else all RAM is Presence::data.
  void tell_zero_pages() { tell_zero_ = true; }

  Extent extent(PhysAddr address) const override;
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;

 private:
  Presence kind_of(std::uint64_t pfn) const;

  std::vector<PhysRange> ram_;
  std::map<std::uint64_t, std::array<std::byte, kPageSize>> pages_;
  std::set<std::uint64_t> excluded_;
  bool tell_zero_ = false;
};

}  // namespace vmcore::testing
