// SPDX-License-Identifier: GPL-2.0-or-later
// PageLayout: where struct page keeps what the rules look at, from VMCOREINFO, checked once.
#pragma once

#include <cstdint>
#include <optional>

#include "src/base/result.h"
#include "src/kernel/vmcoreinfo.h"

namespace vmcore::filters {

// The largest order of a compound or a free block that is believed: that of hugetlb pages of 1 GiB,
// the largest with base pages of 4 KiB.
inline constexpr unsigned kMaxOrder = 18;

// How a compound page's second struct page tells its order.
enum class OrderStyle : std::uint8_t {
  byte_field,      // a byte of its own: page.compound_order (v4.16 to v6.2), folio._folio_order
                   // (v6.3 to v6.5)
  low_flags_byte,  // the low byte of folio._flags_1 (v6.6, ebc1baf5c9b4), which lies where flags do
};

// How a hugetlb page is told.
enum class HugetlbStyle : std::uint8_t {
  none,          // the kernel has none, or does not tell
  destructor,    // byte field of the second struct page equals HUGETLB_PAGE_DTOR (to v6.5)
  second_flags,  // bit PG_hugetlb of the second struct page's flags (v6.6 to v6.8)
  page_type,     // page type of the head (v6.9, d99e3140a4d3)
};

// A page type: the value _mapcount has for pages of that type.
//
// To v6.11 types are cleared bits and _mapcount equals the exported value. Since v6.12
// (4ffca5a96678) the type is the top byte, and the low 24 bits are zero or used otherwise.
struct PageType {
  std::uint32_t value = 0;
  bool matches(std::uint32_t mapcount) const {
    return (value & 0xffffff) == 0 ? (mapcount & 0xff000000) == value : mapcount == value;
  }
};

// The node and the zone of a page: the uppermost bits of its flags.
struct ZoneField {
  unsigned shift = 0;        // of the zone; the node is above
  unsigned bits = 0;         // of the zone
  std::uint64_t device = 0;  // ZONE_DEVICE: memory of devices and persistent memory, which drivers
                             // manage

  // Node and zone together.
  std::uint64_t place_of(std::uint64_t flags) const { return flags >> shift; }
  bool is_device(std::uint64_t flags) const {
    return (place_of(flags) & ((1U << bits) - 1)) == device;
  }
};

struct PageLayout {
  std::uint64_t struct_size = 0;  // bytes, 32 to 256
  // Offsets of 8-byte members (4 for mapcount), each checked to lie within struct_size.
  std::uint64_t flags = 0;
  std::uint64_t mapping = 0;
  std::uint64_t mapcount = 0;
  std::uint64_t private_data = 0;
  std::uint64_t compound_head = 0;  // compound_info since v7.1; bit 0 set in tail pages of both

  // Masks of page flags; 0 where the kernel has no such flag.
  std::uint64_t lru = 0;
  std::uint64_t has_private = 0;
  std::uint64_t swap_cache = 0;
  std::uint64_t swap_backed = 0;
  std::uint64_t slab_flag = 0;  // to v6.9
  std::uint64_t hwpoison = 0;
  std::uint64_t head = 0;

  std::optional<PageType> buddy_type;
  std::optional<PageType> offline_type;
  std::optional<PageType> slab_type;  // since v6.10
  std::optional<PageType> unaccepted_type;
  std::optional<PageType> hugetlb_type;

  OrderStyle order_style = OrderStyle::low_flags_byte;
  std::uint64_t order_field = 0;  // byte_field
  HugetlbStyle hugetlb_style = HugetlbStyle::none;
  std::uint64_t destructor_field = 0;
  std::uint8_t hugetlb_destructor = 0;
  std::uint64_t hugetlb_flag = 0;  // second_flags, a mask

  unsigned buddy_orders =
      11;  // valid buddy orders are below it, at most kMaxOrder: LENGTH(zone.free_area)

  // Not in VMCOREINFO: found in memory (zones.h). Nothing where it is not known.
  std::optional<ZoneField> zone_field;

  // True where slab pages can be told from anonymous ones: without that, no page counts as user.
  bool tells_slab() const { return slab_flag != 0 || slab_type.has_value(); }
};

// Errc::not_found where a member that every rule needs is not exported, Errc::malformed where one
// lies outside struct page.
Result<PageLayout> read_page_layout(const kernel::Vmcoreinfo& info, std::uint64_t struct_size);

}  // namespace vmcore::filters
