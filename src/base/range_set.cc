// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/range_set.h"

#include <algorithm>

namespace vmcore {

void RangeSet::add(PhysRange range) {
  if (range.size == 0) {
    return;
  }
  const auto first =
      std::lower_bound(ranges_.begin(), ranges_.end(), range.begin,
                       [](const PhysRange& have, PhysAddr begin) { return have.end() < begin; });
  auto last = first;
  PhysAddr begin = range.begin;
  PhysAddr end = range.end();
  while (last != ranges_.end() && last->begin <= end) {
    begin = std::min(begin, last->begin);
    end = std::max(end, last->end());
    ++last;
  }
  const auto at = ranges_.erase(first, last);
  ranges_.insert(at, PhysRange{begin, end - begin});
}

bool RangeSet::contains(PhysAddr address) const {
  const auto after =
      std::upper_bound(ranges_.begin(), ranges_.end(), address,
                       [](PhysAddr value, const PhysRange& have) { return value < have.begin; });
  return after != ranges_.begin() && std::prev(after)->contains(address);
}

std::uint64_t RangeSet::size() const {
  std::uint64_t sum = 0;
  for (const PhysRange& range : ranges_) {
    sum += range.size;
  }
  return sum;
}

}  // namespace vmcore
