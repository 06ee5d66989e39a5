// SPDX-License-Identifier: GPL-2.0-or-later
// RangeSet: a set of bytes of guest-physical memory as sorted, disjoint ranges.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/address.h"

namespace vmcore {

class RangeSet {
 public:
  // Adds the range, joining it with those it touches or overlaps. An empty range changes nothing.
  void add(PhysRange range);
  bool contains(PhysAddr address) const;
  // The sum of the sizes, in bytes.
  std::uint64_t size() const;
  bool empty() const { return ranges_.empty(); }
  // Sorted by address, none touching another.
  const std::vector<PhysRange>& ranges() const { return ranges_; }
  bool operator==(const RangeSet&) const = default;

 private:
  std::vector<PhysRange> ranges_;
};

}  // namespace vmcore
