// Plausibility comes before exclusion: what a census must show before its classes are believed.
//
// Most kernel releases that changed struct page broke filters silently (slab pages taken for
// anonymous ones, tail pages for heads, free pages not found). Each check here would have caught
// one of them.
#pragma once

#include <vector>

#include "filters/census.h"

namespace vmcore::filters {

struct Doubts {
  // Classes that must not be excluded: their rule contradicts what the memory shows.
  ClassMask distrusted = 0;
  // Classes some of whose pages were not found, and are kept.
  ClassMask unreached = 0;
  std::vector<Remark> remarks;
};

// Compares the census with the kernel's own counters (NR_FREE_PAGES of every zone) and with pages
// that are the kernel's beyond doubt (its page tables, its log, its version, its memmap).
Doubts doubts_about(const Census& census, const kernel::GuestKernel& kernel,
                    const kernel::Memmap& memmap, const PageLayout& layout);

}  // namespace vmcore::filters
