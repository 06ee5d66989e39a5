// SPDX-License-Identifier: GPL-2.0-or-later
// Freed pages that wait on per-CPU lists. The allocator keeps some freed pages of each zone for
// each CPU (struct per_cpu_pages): they are not in the buddy allocator, and nothing in the struct
// page of one tells it from a page that the kernel uses. So the lists are walked.
#pragma once

#include <cstdint>
#include <stop_token>

#include "filters/page_layout.h"
#include "src/base/result.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/memmap.h"

namespace vmcore::filters {

struct ListedPages {
  PageSet pages;  // those of the range that was asked for
  // Sets of lists, one a zone and CPU, that disagree with themselves, and how many pages they count
  // in all, in the range or not. None of their pages is among `pages`.
  std::uint64_t broken_sets = 0;
  std::uint64_t broken_pages = 0;
};

// The pages in `range` that lie on per-CPU lists. The lists of a zone and a CPU count only together
// and only if they are whole: each entry is the struct page of an online section, with reference
// count 0 and of no class, leads back to the entry before it, and is aligned to the order of its
// list; and the pages of all lists are as many as the set counts. What counts does not depend on
// the range. Memory that changes while it is read must not be walked: a page may be used again.
//
// Errc::not_found if BTF does not tell where the lists are (kernel::TypeNumbers), Errc::unsupported
// if it tells of lists that are not known, Errc::malformed if that is impossible, Errc::limit if
// there are more sets than any guest has, Errc::unreadable if a zone or the CPUs cannot be read,
// Errc::cancelled.
Result<ListedPages> read_listed_pages(const kernel::GuestKernel& kernel,
                                      const kernel::Memmap& memmap, const PageLayout& layout,
                                      PfnRange range, const std::stop_token& stop);

}  // namespace vmcore::filters
