// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/type_numbers.h"

#include <array>

#include "src/kernel/btf.h"

namespace vmcore::kernel {
namespace {

// Members whose offset is read.
constexpr std::array<std::string_view, 34> kMembers{
    // What every filter looks at. compound_dtor and compound_order: up to v6.2; the members of
    // folio: v6.3 to v6.5; compound_info: since v7.1.
    "page.flags", "page.mapping", "page.lru", "page._mapcount", "page._refcount", "page.private",
    "page.compound_head", "page.compound_info", "page.compound_dtor", "page.compound_order",
    "folio._folio_dtor", "folio._folio_order", "mem_section.section_mem_map",
    "pglist_data.node_zones", "pglist_data.nr_zones", "pglist_data.node_start_pfn",
    "pglist_data.node_spanned_pages", "pglist_data.node_id", "zone.free_area", "zone.vm_stat",
    "zone.spanned_pages", "free_area.free_list", "free_area.nr_free", "list_head.next",
    "list_head.prev",
    // The per-CPU lists (filters/listed_pages.h).
    "page.pcp_list", "zone.pageset", "zone.per_cpu_pageset", "per_cpu_pageset.pcp",
    "per_cpu_pages.count", "per_cpu_pages.lists",
    // Others that VMCOREINFO exports.
    "uts_namespace.name", "vmap_area.va_start", "vmap_area.list"};

constexpr std::array<std::string_view, 3> kArrays{"zone.free_area", "free_area.free_list",
                                                  "per_cpu_pages.lists"};

constexpr std::array<std::string_view, 8> kSizes{"page",      "pglist_data",  "zone",
                                                 "free_area", "list_head",    "mem_section",
                                                 "folio",     "per_cpu_pages"};

// What VMCOREINFO makes of an enumerator.
enum class Made : std::uint8_t {
  as_it_is,
  mask,      // 1 << value
  cleared,   // ~value: page types of v6.11 (ff202303c398), bits that a page of the type lacks
  top_byte,  // value << 24: page types since v6.12 (4ffca5a96678)
};

struct Number {
  std::string_view key;
  std::string_view enumeration;
  std::string_view enumerator;
  Made made = Made::as_it_is;
};

constexpr std::array kNumbers{
    Number{"PG_lru", "pageflags", "PG_lru"},
    Number{"PG_private", "pageflags", "PG_private"},
    Number{"PG_swapcache", "pageflags", "PG_swapcache"},
    Number{"PG_swapbacked", "pageflags", "PG_swapbacked"},
    Number{"PG_slab", "pageflags", "PG_slab"},
    Number{"PG_hwpoison", "pageflags", "PG_hwpoison"},
    Number{"PG_hugetlb", "pageflags", "PG_hugetlb"},
    Number{"PG_head_mask", "pageflags", "PG_head", Made::mask},
    Number{"HUGETLB_PAGE_DTOR", "compound_dtor_id", "HUGETLB_PAGE_DTOR"},
    Number{"NR_FREE_PAGES", "zone_stat_item", "NR_FREE_PAGES"},
    Number{"MIGRATE_PCPTYPES", "migratetype", "MIGRATE_PCPTYPES"},
    Number{"PAGE_BUDDY_MAPCOUNT_VALUE", "pagetype", "PG_buddy", Made::cleared},
    Number{"PAGE_OFFLINE_MAPCOUNT_VALUE", "pagetype", "PG_offline", Made::cleared},
    Number{"PAGE_SLAB_MAPCOUNT_VALUE", "pagetype", "PG_slab", Made::cleared},
    Number{"PAGE_HUGETLB_MAPCOUNT_VALUE", "pagetype", "PG_hugetlb", Made::cleared},
    Number{"PAGE_BUDDY_MAPCOUNT_VALUE", "pagetype", "PGTY_buddy", Made::top_byte},
    Number{"PAGE_OFFLINE_MAPCOUNT_VALUE", "pagetype", "PGTY_offline", Made::top_byte},
    Number{"PAGE_SLAB_MAPCOUNT_VALUE", "pagetype", "PGTY_slab", Made::top_byte},
    Number{"PAGE_HUGETLB_MAPCOUNT_VALUE", "pagetype", "PGTY_hugetlb", Made::top_byte},
    Number{"PAGE_UNACCEPTED_MAPCOUNT_VALUE", "pagetype", "PGTY_unaccepted", Made::top_byte}};

std::uint64_t make(Made made, std::int64_t value) {
  const auto bits = static_cast<std::uint32_t>(value);
  switch (made) {
    case Made::as_it_is:
      return static_cast<std::uint64_t>(value);
    case Made::mask:
      return std::uint64_t{1} << (value & 63);
    case Made::cleared:
      return static_cast<std::uint32_t>(~bits);
    case Made::top_byte:
      return bits << 24;
  }
  return 0;
}

bool is_page_type(std::string_view key) { return key.ends_with("_MAPCOUNT_VALUE"); }

// Whether the BTF just does not have it.
bool is_absent(const Error& error) { return error.code == Errc::not_found; }

Result<std::optional<std::uint64_t>> offset_of(const Btf& btf, std::string_view member) {
  const auto field = btf.field(member);
  if (!field && is_absent(field.error())) {
    return std::nullopt;
  }
  TRY_ASSIGN(const BtfField found, field);
  return found.offset();
}

Result<std::optional<std::uint64_t>> length_of(const Btf& btf, std::string_view member) {
  const auto field = btf.field(member);
  if (!field && is_absent(field.error())) {
    return std::nullopt;
  }
  TRY_ASSIGN(const BtfField found, field);
  TRY_ASSIGN(const BtfType type, btf.resolve(found.type));
  TRY_ASSIGN(const BtfArray array, btf.array(type));
  return array.count;
}

// What VMCOREINFO says for the key, whose argument is `name`.
std::optional<std::uint64_t> said(const Vmcoreinfo& info, std::string_view key,
                                  std::string_view name) {
  if (key.starts_with("NUMBER")) {
    const auto number = info.number(name);
    return number ? std::optional(static_cast<std::uint64_t>(*number)) : std::nullopt;
  }
  return key.starts_with("OFFSET") ? info.offset(name)
         : key.starts_with("SIZE") ? info.size(name)
                                   : info.length(name);
}

}  // namespace

Result<TypeNumbers> TypeNumbers::read(const GuestKernel& kernel) {
  if (kernel.kallsyms() == nullptr) {
    return fail(Errc::not_found, "the kernel's symbols cannot be read");
  }
  // One pass over the symbols, for what is asked for next as well.
  static_cast<void>(
      kernel.kallsyms()->find({"__start_BTF", "__stop_BTF", "__per_cpu_offset", "nr_cpu_ids",
                               "__cpu_possible_mask", "current_task", "init_task"}));
  TRY_ASSIGN(const Btf btf, Btf::of_kernel(kernel, *kernel.kallsyms()));
  return of(btf);
}

Result<TypeNumbers> TypeNumbers::of(const Btf& btf) {
  TRY(btf.know({"page", "folio", "mem_section", "pglist_data", "zone", "free_area", "list_head",
                "per_cpu_pageset", "per_cpu_pages", "uts_namespace", "vmap_area", "pageflags",
                "pagetype", "compound_dtor_id", "zone_stat_item", "migratetype"}));
  TypeNumbers numbers;
  const auto put = [&](std::string_view kind, std::string_view name, std::uint64_t value) {
    numbers.values_.insert_or_assign(fmt::format("{}({})", kind, name), value);
  };
  for (const std::string_view member : kMembers) {
    TRY_ASSIGN(const auto offset, offset_of(btf, member));
    if (offset) {
      put("OFFSET", member, *offset);
    }
  }
  for (const std::string_view member : kArrays) {
    TRY_ASSIGN(const auto length, length_of(btf, member));
    if (length) {
      put("LENGTH", member, *length);
    }
  }
  for (const std::string_view type : kSizes) {
    if (const auto size = btf.size_of(type)) {
      put("SIZE", type, *size);
    }
  }
  std::map<std::string_view, std::map<std::string, std::int64_t>> enumerations;
  for (const Number& number : kNumbers) {
    const auto [known, fresh] = enumerations.try_emplace(number.enumeration);
    if (fresh) {
      if (const auto type = btf.find(BtfKind::enumeration, number.enumeration)) {
        TRY_ASSIGN(known->second, btf.enumerators(*type));
      }
    }
    if (const auto value = known->second.find(std::string(number.enumerator));
        value != known->second.end()) {
      put("NUMBER", number.key, make(number.made, value->second));
    }
  }
  return numbers;
}

std::optional<std::uint64_t> TypeNumbers::value(std::string_view key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::string> TypeNumbers::contradiction(const Vmcoreinfo& info) const {
  for (const auto& [key, value] : values_) {
    const std::string_view name =
        std::string_view(key).substr(key.find('(') + 1, key.size() - key.find('(') - 2);
    const auto told = info.value(key);
    if (!told) {
      continue;
    }
    const auto number = said(info, key, name);
    const bool equal = number && (is_page_type(name) ? static_cast<std::uint32_t>(*number) ==
                                                           static_cast<std::uint32_t>(value)
                                                     : *number == value);
    if (!equal) {
      return fmt::format(
          "VMCOREINFO says {}={}, the kernel's types (BTF) say {}", key, *told,
          is_page_type(name) ? static_cast<std::int32_t>(value) : static_cast<std::int64_t>(value));
    }
  }
  return std::nullopt;
}

}  // namespace vmcore::kernel
