// SPDX-License-Identifier: GPL-2.0-or-later
// The census: every page of the memmap judged once, before anything is decided.
#pragma once

#include <array>
#include <cstdint>
#include <stop_token>
#include <vector>

#include "filters/page_class.h"
#include "filters/page_layout.h"
#include "src/base/result.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/memmap.h"

namespace vmcore::filters {

// What the plausibility checks want to have seen.
struct CensusCounts {
  std::uint64_t heads = 0;      // struct pages that begin a compound
  std::uint64_t with_tail = 0;  // those of them that a tail page follows
  std::uint64_t slab = 0;
  // Pages, also those outside `ram`. `free`: those in the buddy allocator only.
  std::uint64_t free = 0;
  std::uint64_t unaccepted = 0;
  // Struct pages of offline sections that are judged as if they were online: whether they are
  // memory of a device is not known.
  std::uint64_t doubtful_offline = 0;
};

void add(const CensusCounts& counts, CensusCounts& to);

struct Census {
  // Pages of the class `kernel` and pages without memmap are in none of these; the other classes
  // are disjoint and hold only pages of `ram`.
  std::array<PageSet, kPageClasses> pages;
  PageSet with_memmap;  // pages of `ram` that have a struct page, read or not
  PageSet unreadable;   // pages of `ram` whose struct page cannot be read: of no class
  CensusCounts seen;
};

struct CensusOptions {
  unsigned threads = 1;
  // Look for poisoned pages in free blocks and compounds. Otherwise only the first struct page of
  // these is looked at.
  bool poison_in_blocks = true;
};

// Judges the struct pages of `ram`, in parallel, where the memory lends them, else a few MiB a
// thread at a time. Pages of `listed` are free, unless their struct page gives them another class
// (listed_pages.h). No page is judged by one that lies before the multiple of 2^kMaxOrder page
// frames below it, so that the censuses of windows between such multiples are together that of
// all. Fails only where the image's source fails, or with Errc::cancelled.
Result<Census> take_census(const kernel::GuestKernel& kernel, const kernel::Memmap& memmap,
                           const PageLayout& layout, const PageSet& ram, const PageSet& listed,
                           const CensusOptions& options, std::stop_token stop);

}  // namespace vmcore::filters
