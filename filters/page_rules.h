// SPDX-License-Identifier: GPL-2.0-or-later
// The rules: which class a page has, decided from its struct page. One row of kPageRules each; the
// first row that matches decides.
//
// To add a rule: a row in page_rules.cc, a class in page_class.h where it needs one, a page kind in
// the tests' synthetic guest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "filters/page_class.h"
#include "filters/page_layout.h"

namespace vmcore::filters {

// One struct page, decoded. `second` is the struct page after it, which describes the compound that
// a head begins; it is empty at the end of the memmap.
struct PageView {
  std::uint64_t flags = 0;
  std::uint64_t mapping = 0;
  std::uint64_t private_data = 0;
  std::uint32_t mapcount = 0;
  bool head = false;
  bool tail = false;
  bool tail_follows = false;  // of a head: the next struct page is a tail
  bool hugetlb = false;
  unsigned order = 0;  // of the compound that it heads, at most kMaxOrder; else 0
};

// Decodes the struct page at the start of `bytes`, which holds one or two of them. If no tail
// follows a head, or its order is impossible for `pfn`, the order counts as 0: the page is judged
// alone.
PageView view_page(const PageLayout& layout, std::span<const std::byte> bytes, std::uint64_t pfn);

// True for slab pages. Other members of a slab page's struct page overlay `mapping` with pointers
// (v6.2, 130d4df57390), so a slab page may look anonymous.
// Up to v6.9 slab is a flag, then a page type.
inline bool is_slab(const PageLayout& layout, const PageView& page) {
  return (page.flags & layout.slab_flag) != 0 ||
         (layout.slab_type && layout.slab_type->matches(page.mapcount));
}

// A class, and for how many pages from this one on it holds.
struct Verdict {
  PageClass page_class = PageClass::kernel;
  std::uint64_t pages = 1;
};

// The class of a page of an offline section, whose struct page is not maintained: poisoned,
// logically offline or offline_section. `initialised`: it was the struct page of a page once.
PageClass judge_offline(const PageLayout& layout, const PageView& page, bool initialised);

// Whether the struct page at the start of `bytes` tells that its page is poisoned.
bool is_poisoned(const PageLayout& layout, std::span<const std::byte> bytes);

// The class of a page, and of the pages for which it decides. A poisoned page among those stays
// poisoned: the caller that walks the struct pages checks for it.
Verdict judge(const PageLayout& layout, const PageView& page, std::uint64_t pfn);

// What view_page(), judge() and is_slab() tell of a page, by one call: a census makes millions.
struct JudgedPage {
  Verdict verdict;
  bool head = false;
  bool tail_follows = false;
  bool slab = false;
};
JudgedPage judge_page(const PageLayout& layout, std::span<const std::byte> bytes,
                      std::uint64_t pfn);

}  // namespace vmcore::filters
