// SPDX-License-Identifier: GPL-2.0-or-later
// The plan: which pages go into the dump, decided before any of them is read.
#pragma once

#include <array>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "filters/page_class.h"
#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::filters {

// The pages of a plan, or of a window of it.
struct PlannedPages {
  // Every page frame of the image, also those an earlier filter excluded; less memory behind the
  // last struct page, where that is left out.
  PageSet ram;
  PageSet kept;  // a subset: what the source still has, less what is excluded now; index()ed
  PageSet lost;  // would be kept, but was lost with the end of the source; none of `kept`
  PageSet zero;  // long runs that begin in `kept` and are known to be zero: they need not be read
};

// What a plan says of all of the memory.
struct PlanSummary {
  Pfn ram_end;  // one past the last page of `ram`
  std::uint64_t ram_pages = 0, kept_pages = 0, lost_pages = 0;
  // Pages of the image by class, whether excluded or not. All zero if no kernel was found.
  std::array<std::uint64_t, kPageClasses> pages_by_class{};
  std::uint64_t excluded_before = 0;  // pages that the source had left out already
  unsigned level_asked = 0;
  unsigned level_reached = 0;  // the part of it that holds, and what the source had reached before
  std::vector<Remark> remarks;
};

struct Plan : PlanSummary, PlannedPages {};

struct PlanOptions {
  unsigned level = kMaxLevel;
  unsigned threads = 1;
  // Pages that are in use for certain, whatever the struct pages say (kernel::pages_in_use()). If
  // one of them would be left out, the struct pages do not belong to the running kernel, and none
  // is trusted.
  std::vector<Pfn> in_use = {};
  // The guest ran while its memory was read. Its per-CPU lists are not walked then: a page that was
  // on one may be used again.
  bool torn = false;
  // No page was poisoned a moment ago, so none is looked for in free blocks and compounds: most
  // struct pages of a large guest need not be looked at then.
  bool without_poison = false;
};

// Plans all of the memory at once, by the kernel's struct pages. A class whose rule cannot be
// trusted is kept, with a remark. `kernel` may be null (none was found): then only zero pages are
// left out. `source_level` is the level that made the source, 0 for an unfiltered one. Fails if the
// source fails, or with Errc::cancelled.
Result<Plan> make_plan(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                       unsigned source_level, const PlanOptions& options, std::stop_token stop);

// A plan, and the pages that its counts are of.
struct ClassifiedPlan {
  Plan plan;
  // Disjoint; together every page frame of the image, also memory behind the last struct page.
  std::array<PageSet, kPageClasses> classes;
};

// The same plan, for callers that ask where the classes lie; its `zero` covers all of `ram`. Fails
// if the kernel's struct pages cannot be read: there are no classes then.
Result<ClassifiedPlan> classify(const PhysicalMemory& memory, const kernel::GuestKernel& kernel,
                                unsigned source_level, const PlanOptions& options,
                                const std::stop_token& stop);

}  // namespace vmcore::filters
