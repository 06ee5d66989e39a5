// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/page_rules.h"

#include <cstring>
#include <iterator>
#include <utility>

namespace vmcore::filters {
namespace {

// Bit 0 of page.mapping: anonymous memory (PAGE_MAPPING_ANON; KSM pages have bits 0 and 1).
constexpr std::uint64_t kMappingAnon = 1;
// Bit 0 of page.compound_head (since v7.1 compound_info): this is a tail page.
constexpr std::uint64_t kTail = 1;
bool is(const std::optional<PageType>& type, const PageView& page) {
  return type && type->matches(page.mapcount);
}

bool is_anonymous(const PageLayout& layout, const PageView& page) {
  return (page.mapping & kMappingAnon) != 0 && !is_slab(layout, page);
}

// On the LRU, or in the swap cache (which shares its bit with another flag unless the page is swap
// backed: v4.10, 6326fec1122c).
bool is_cache(const PageLayout& layout, const PageView& page) {
  const bool swap_cache = (page.flags & layout.swap_cache) != 0 &&
                          (layout.swap_backed == 0 || (page.flags & layout.swap_backed) != 0);
  return ((page.flags & layout.lru) != 0 || swap_cache) && !is_anonymous(layout, page);
}

bool hwpoison(const PageLayout& layout, const PageView& page) {
  return (page.flags & layout.hwpoison) != 0;
}

bool offline(const PageLayout& layout, const PageView& page) {
  return is(layout.offline_type, page);
}

bool free_block(const PageLayout& layout, const PageView& page) {
  return is(layout.buddy_type, page) && !is_slab(layout, page) &&
         page.private_data < layout.buddy_orders;
}

bool unaccepted(const PageLayout& layout, const PageView& page) {
  return is(layout.unaccepted_type, page);
}

bool cache(const PageLayout& layout, const PageView& page) {
  return is_cache(layout, page) && (page.flags & layout.has_private) == 0;
}

bool private_cache(const PageLayout& layout, const PageView& page) {
  return is_cache(layout, page);
}

bool slab(const PageLayout& layout, const PageView& page) { return is_slab(layout, page); }

bool user(const PageLayout& layout, const PageView& page) {
  return layout.tells_slab() && !is_slab(layout, page) &&
         (is_anonymous(layout, page) || page.hugetlb);
}

std::uint64_t compound_pages(const PageLayout&, const PageView& page) {
  return std::uint64_t{1} << page.order;
}

// A free block's order is in page.private of its first page (mm/internal.h, buddy_order()).
std::uint64_t free_pages(const PageLayout&, const PageView& page) {
  return std::uint64_t{1} << page.private_data;
}

// Unaccepted memory is kept in blocks of MAX_PAGE_ORDER (mm/page_alloc.c, __free_unaccepted()).
std::uint64_t largest_block(const PageLayout& layout, const PageView&) {
  return std::uint64_t{1} << (layout.buddy_orders - 1);
}

struct PageRule {
  PageClass page_class;
  bool (*matches)(const PageLayout&, const PageView&);
  std::uint64_t (*pages)(const PageLayout&, const PageView&);
};

constexpr PageRule kPageRules[] = {
    {PageClass::hwpoison, hwpoison, compound_pages},
    {PageClass::offline, offline, compound_pages},
    {PageClass::free, free_block, free_pages},
    {PageClass::unaccepted, unaccepted, largest_block},
    {PageClass::cache, cache, compound_pages},
    {PageClass::private_cache, private_cache, compound_pages},
    {PageClass::user, user, compound_pages},
    {PageClass::slab, slab, compound_pages},
};

// A member of a struct page that is all there: read_page_layout() has checked where members lie.
template <class T>
T member(std::span<const std::byte> page, std::uint64_t offset) {
  T value;
  std::memcpy(&value, page.data() + offset, sizeof(T));
  return value;
}

// Of the row, where it matches.
bool decides(const PageRule& rule, const PageLayout& layout, const PageView& page,
             std::uint64_t pfn, Verdict& verdict) {
  if (!rule.matches(layout, page)) {
    return false;
  }
  const std::uint64_t pages = rule.pages(layout, page);
  // A block that is not aligned to its size cannot be one: not understood, so kept.
  verdict = pfn % pages == 0 ? Verdict{rule.page_class, pages} : Verdict{};
  return true;
}

// Written out, not a loop: each page of a guest comes through here, and so its rules are inlined.
template <std::size_t... kRows>
Verdict first_match(const PageLayout& layout, const PageView& page, std::uint64_t pfn,
                    std::index_sequence<kRows...>) {
  Verdict verdict;
  static_cast<void>((decides(kPageRules[kRows], layout, page, pfn, verdict) || ...));
  return verdict;
}

// Reads what the second struct page tells of the compound that `page` heads.
void view_compound(const PageLayout& layout, std::span<const std::byte> second, std::uint64_t pfn,
                   PageView& page) {
  if (second.size() < layout.struct_size) {
    return;
  }
  page.tail_follows = (member<std::uint64_t>(second, layout.compound_head) & kTail) != 0;
  const auto second_flags = member<std::uint64_t>(second, layout.flags);
  const unsigned order = layout.order_style == OrderStyle::byte_field
                             ? static_cast<unsigned>(second[layout.order_field])
                             : static_cast<unsigned>(second_flags & 0xff);
  if (page.tail_follows && order <= kMaxOrder && pfn % (std::uint64_t{1} << order) == 0) {
    page.order = order;
  }
  switch (layout.hugetlb_style) {
    case HugetlbStyle::destructor:
      page.hugetlb =
          static_cast<std::uint8_t>(second[layout.destructor_field]) == layout.hugetlb_destructor;
      break;
    case HugetlbStyle::second_flags:
      page.hugetlb = (second_flags & layout.hugetlb_flag) != 0;
      break;
    case HugetlbStyle::page_type:
      page.hugetlb = is(layout.hugetlb_type, page);
      break;
    case HugetlbStyle::none:
      break;
  }
}

PageView view(const PageLayout& layout, std::span<const std::byte> bytes, std::uint64_t pfn) {
  PageView page;
  if (bytes.size() < layout.struct_size) {
    return page;
  }
  page.flags = member<std::uint64_t>(bytes, layout.flags);
  page.mapping = member<std::uint64_t>(bytes, layout.mapping);
  page.private_data = member<std::uint64_t>(bytes, layout.private_data);
  page.mapcount = member<std::uint32_t>(bytes, layout.mapcount);
  page.head = (page.flags & layout.head) != 0;
  page.tail = !page.head && (member<std::uint64_t>(bytes, layout.compound_head) & kTail) != 0;
  if (page.head) {
    view_compound(layout, bytes.subspan(layout.struct_size), pfn, page);
  }
  return page;
}

Verdict verdict_on(const PageLayout& layout, const PageView& page, std::uint64_t pfn) {
  if (page.tail) {
    // Its head has decided for it.
    return {hwpoison(layout, page) ? PageClass::hwpoison : PageClass::kernel, 1};
  }
  return first_match(layout, page, pfn, std::make_index_sequence<std::size(kPageRules)>());
}

}  // namespace

// Balloons and virtio-mem leave their type when a block is taken offline, memory_failure() its
// flag.
PageClass judge_offline(const PageLayout& layout, const PageView& page, bool initialised) {
  if (initialised && hwpoison(layout, page)) {
    return PageClass::hwpoison;
  }
  return initialised && offline(layout, page) ? PageClass::offline : PageClass::offline_section;
}

bool is_poisoned(const PageLayout& layout, std::span<const std::byte> bytes) {
  return bytes.size() >= layout.struct_size &&
         (member<std::uint64_t>(bytes, layout.flags) & layout.hwpoison) != 0;
}

PageView view_page(const PageLayout& layout, std::span<const std::byte> bytes, std::uint64_t pfn) {
  return view(layout, bytes, pfn);
}

Verdict judge(const PageLayout& layout, const PageView& page, std::uint64_t pfn) {
  return verdict_on(layout, page, pfn);
}

// All is inlined, and so internal to this file: calls would take as long as what they do.
[[gnu::flatten]] JudgedPage judge_page(const PageLayout& layout, std::span<const std::byte> bytes,
                                       std::uint64_t pfn) {
  const PageView page = view(layout, bytes, pfn);
  return {verdict_on(layout, page, pfn), page.head, page.tail_follows, is_slab(layout, page)};
}

}  // namespace vmcore::filters
