// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/bounds.h"

#include <algorithm>

namespace vmcore::report {

std::vector<PhysRange> listed_ranges(std::span<const PhysRange> ranges,
                                     std::vector<Remark>& remarks) {
  const auto listed = ranges.first(std::min(kMaxRamRanges, ranges.size()));
  if (listed.size() != ranges.size()) {
    remarks.push_back(
        {Errc::limit,
         fmt::format("{} more ranges of memory are not listed", ranges.size() - listed.size()),
         Severity::fact});
  }
  return {listed.begin(), listed.end()};
}

}  // namespace vmcore::report
