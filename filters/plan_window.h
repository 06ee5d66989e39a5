// SPDX-License-Identifier: GPL-2.0-or-later
// A window of the guest's memory: the pages that the source has, and those that are left out.
#pragma once

#include <cstdint>

#include "filters/census.h"
#include "filters/page_class.h"
#include "filters/plan.h"
#include "src/image/memory.h"
#include "src/image/page_set.h"

namespace vmcore::filters {

struct PlanWindow {
  PlannedPages pages;  // `zero` is not known yet, `kept` not indexed
  std::uint64_t excluded_before = 0;
  Census census;  // empty where no kernel knowledge was had
};

// The next multiple of `size` page frames from `from` on, which is one, that holds RAM.
PfnRange next_window(const PhysicalMemory& memory, Pfn from, std::uint64_t size);

// The window as the source has it.
PlanWindow outline(const PhysicalMemory& memory, PfnRange window);

// Applies the census: the classes of the mask are kept no more.
void exclude(ClassMask classes, PlanWindow& window);

// The long runs that begin in `among` and are known to be zero.
PageSet find_zeros(const PhysicalMemory& memory, const PageSet& among);

}  // namespace vmcore::filters
