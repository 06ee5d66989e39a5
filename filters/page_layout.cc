// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/page_layout.h"

#include <initializer_list>

namespace vmcore::filters {
namespace {

using kernel::Vmcoreinfo;

// The offset of the first of `members` that is exported; a field of `width` bytes must fit there.
Result<std::uint64_t> member(const Vmcoreinfo& info, std::initializer_list<const char*> members,
                             std::uint64_t width, std::uint64_t struct_size) {
  for (const char* name : members) {
    if (const auto offset = info.offset(name)) {
      if (struct_size < width || *offset > struct_size - width) {
        return fail(Errc::malformed,
                    "VMCOREINFO: OFFSET({})={} lies outside struct page ({} bytes)", name, *offset,
                    struct_size);
      }
      return *offset;
    }
  }
  return fail(Errc::not_found, "VMCOREINFO has no OFFSET({})", *members.begin());
}

// The mask of a flag's bit number; 0 where it is not exported.
Result<std::uint64_t> flag(const Vmcoreinfo& info, const char* name) {
  const auto bit = info.number(name);
  if (!bit) {
    return std::uint64_t{0};
  }
  if (*bit < 0 || *bit > 63) {
    return fail(Errc::malformed, "VMCOREINFO: NUMBER({})={} is not a bit number", name, *bit);
  }
  return std::uint64_t{1} << static_cast<unsigned>(*bit);
}

// Types are exported as the 32-bit pattern, signed or not depending on the release.
std::optional<PageType> page_type(const Vmcoreinfo& info, const char* name) {
  const auto value = info.number(name);
  if (!value || *value == 0) {
    return std::nullopt;
  }
  return PageType{static_cast<std::uint32_t>(*value)};
}

Result<> read_flags(const Vmcoreinfo& info, PageLayout& layout) {
  TRY_ASSIGN(layout.lru, flag(info, "PG_lru"));
  TRY_ASSIGN(layout.has_private, flag(info, "PG_private"));
  TRY_ASSIGN(layout.swap_cache, flag(info, "PG_swapcache"));
  TRY_ASSIGN(layout.swap_backed, flag(info, "PG_swapbacked"));
  TRY_ASSIGN(layout.slab_flag, flag(info, "PG_slab"));
  TRY_ASSIGN(layout.hwpoison, flag(info, "PG_hwpoison"));
  // A mask, not a bit number (kernel/vmcore_info.c).
  layout.head = static_cast<std::uint64_t>(info.number("PG_head_mask").value_or(0));
  if (layout.lru == 0 || layout.head == 0) {
    return fail(Errc::not_found, "VMCOREINFO has no NUMBER({})",
                layout.lru == 0 ? "PG_lru" : "PG_head_mask");
  }
  return {};
}

// Where the second struct page of a compound keeps a byte, nothing where neither is exported. From
// v6.3 to v6.5 it is a member of struct folio, which begins with the first struct page.
Result<std::optional<std::uint64_t>> second_page_byte(const Vmcoreinfo& info, const char* in_page,
                                                      const char* in_folio, std::uint64_t size) {
  if (info.offset(in_page)) {
    return member(info, {in_page}, 1, size);
  }
  const auto offset = info.offset(in_folio);
  if (!offset) {
    return std::nullopt;
  }
  if (*offset < size || *offset >= 2 * size) {
    return fail(Errc::malformed,
                "VMCOREINFO: OFFSET({})={} lies outside the second struct page ({} bytes each)",
                in_folio, *offset, size);
  }
  return *offset - size;
}

Result<> read_compound(const Vmcoreinfo& info, PageLayout& layout) {
  const std::uint64_t size = layout.struct_size;
  TRY_ASSIGN(const auto order,
             second_page_byte(info, "page.compound_order", "folio._folio_order", size));
  if (order) {
    layout.order_field = *order;
    layout.order_style = OrderStyle::byte_field;
  }
  if (const auto type = page_type(info, "PAGE_HUGETLB_MAPCOUNT_VALUE")) {
    layout.hugetlb_style = HugetlbStyle::page_type;
    layout.hugetlb_type = type;
    return {};
  }
  TRY_ASSIGN(layout.hugetlb_flag, flag(info, "PG_hugetlb"));
  if (layout.hugetlb_flag != 0) {
    layout.hugetlb_style = HugetlbStyle::second_flags;
    return {};
  }
  const auto destructor = info.number("HUGETLB_PAGE_DTOR");
  TRY_ASSIGN(const auto field,
             second_page_byte(info, "page.compound_dtor", "folio._folio_dtor", size));
  if (destructor && field) {
    layout.destructor_field = *field;
    layout.hugetlb_style = HugetlbStyle::destructor;
    layout.hugetlb_destructor = static_cast<std::uint8_t>(*destructor);
  }
  return {};
}

}  // namespace

Result<PageLayout> read_page_layout(const Vmcoreinfo& info, std::uint64_t struct_size) {
  PageLayout layout;
  layout.struct_size = struct_size;
  TRY_ASSIGN(layout.flags, member(info, {"page.flags"}, 8, struct_size));
  TRY_ASSIGN(layout.mapping, member(info, {"page.mapping"}, 8, struct_size));
  TRY_ASSIGN(layout.mapcount, member(info, {"page._mapcount"}, 4, struct_size));
  TRY_ASSIGN(layout.private_data, member(info, {"page.private"}, 8, struct_size));
  TRY_ASSIGN(layout.compound_head,
             member(info, {"page.compound_head", "page.compound_info"}, 8, struct_size));
  TRY(read_flags(info, layout));
  TRY(read_compound(info, layout));
  layout.buddy_type = page_type(info, "PAGE_BUDDY_MAPCOUNT_VALUE");
  layout.offline_type = page_type(info, "PAGE_OFFLINE_MAPCOUNT_VALUE");
  layout.slab_type = page_type(info, "PAGE_SLAB_MAPCOUNT_VALUE");
  layout.unaccepted_type = page_type(info, "PAGE_UNACCEPTED_MAPCOUNT_VALUE");
  if (const auto orders = info.length("zone.free_area")) {
    if (*orders == 0 || *orders > kMaxOrder + 1) {
      return fail(Errc::malformed, "VMCOREINFO: LENGTH(zone.free_area)={} is not plausible",
                  *orders);
    }
    layout.buddy_orders = static_cast<unsigned>(*orders);
  }
  return layout;
}

}  // namespace vmcore::filters
