// SPDX-License-Identifier: GPL-2.0-or-later
// The sum of the windows of a plan.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "filters/page_class.h"
#include "filters/plan.h"
#include "filters/plan_window.h"
#include "filters/plausibility.h"
#include "src/image/page_set.h"

namespace vmcore::filters {

// Ranges of memory for people: the first few, and how many more there are.
class RangeList {
 public:
  // Ascending; what follows directly is one range.
  void add(PfnRange range);
  bool empty() const { return count_ == 0; }
  std::string text() const;

 private:
  static constexpr std::uint64_t kMost = 8;
  std::array<PfnRange, kMost> first_;
  std::uint64_t count_ = 0;
  Pfn end_;  // of the last one
};

class PlanCounts {
 public:
  // Windows ascend. A page that is not kept was excluded.
  void add(const PlanWindow& window);

  // Used if nothing is known about the memory.
  PlanSummary summary() const { return sum_; }
  // Used if the classes of `excluded` were left out, as `level` asks.
  PlanSummary summary(unsigned level, ClassMask excluded, const Doubts& doubts) const;
  // The end of the guest's RAM for the plan, if `excluded` was left out.
  Pfn ram_end(ClassMask excluded) const;

 private:
  PlanSummary sum_;
  std::uint64_t unknown_ = 0;  // kept pages whose struct page cannot be read
  RangeList without_memmap_;
  Pfn memmap_end_;                   // one past the last page with a struct page
  std::uint64_t behind_memmap_ = 0;  // pages of RAM from there on
};

}  // namespace vmcore::filters
