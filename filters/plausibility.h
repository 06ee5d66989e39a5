// SPDX-License-Identifier: GPL-2.0-or-later
// Plausibility comes before exclusion: what a census must show before its classes are believed.
//
// Most kernel releases that changed struct page broke filters silently (slab pages taken for
// anonymous ones, tail pages for heads, free pages not found). Each check here would have caught
// one of them.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "filters/census.h"

namespace vmcore::filters {

// A page that certainly belongs to the kernel.
struct KernelPage {
  std::string_view what;  // a literal
  Pfn pfn;
  ClassMask classes = mask_of(PageClass::no_memmap);  // that a census put it in
};

// The input of the judgement: the censuses of all windows of memory together.
struct Evidence {
  CensusCounts seen;
  std::vector<KernelPage> kernel_pages;
  std::vector<KernelPage> in_use;  // by vCPUs
  void add(const Census& census);
};

// Added before any census: the kernel's page tables, log, version and memmap.
Evidence gather_evidence(const kernel::GuestKernel& kernel, const kernel::Memmap& memmap);

// The first page that vCPUs use and that these classes would leave out.
std::optional<KernelPage> used_and_left_out(const Evidence& evidence, ClassMask excluded);

struct Doubts {
  // Classes that must not be excluded: their rule contradicts what the memory shows.
  ClassMask distrusted = 0;
  // Classes some of whose pages were not found, and are kept.
  ClassMask unreached = 0;
  std::vector<Remark> remarks;
};

// Compares the census with the kernel's own counts (the free lists and NR_FREE_PAGES of every
// zone), and checks which class the kernel's own pages got.
Doubts doubts_about(const Evidence& evidence, const kernel::GuestKernel& kernel,
                    const PageLayout& layout);

}  // namespace vmcore::filters
