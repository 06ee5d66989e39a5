// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/kernel_types.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <map>
#include <string>
#include <utility>

#include "tests/builders/btf_builder.h"

namespace vmcore::testing {
namespace {

using Members = std::map<std::string, std::uint32_t>;  // offsets, in bytes
using Values = std::vector<std::pair<std::string, std::int32_t>>;

struct Lines {
  std::map<std::string, Members> offsets;
  std::map<std::string, std::int64_t> sizes, lengths, numbers;
};

std::int64_t parse(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Lines parse_lines(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(line.size() + 1);
    const std::size_t open = line.find('(');
    const std::size_t close = line.find(')');
    if (open == std::string_view::npos) {
      continue;
    }
    const std::string_view kind = line.substr(0, open);
    const std::string name(line.substr(open + 1, close - open - 1));
    const std::int64_t value = parse(line.substr(close + 2));
    if (kind == "OFFSET") {
      lines.offsets[name.substr(0, name.find('.'))][name.substr(name.find('.') + 1)] =
          static_cast<std::uint32_t>(value);
    } else {
      (kind == "SIZE"     ? lines.sizes
       : kind == "LENGTH" ? lines.lengths
                          : lines.numbers)[name] = value;
    }
  }
  return lines;
}

bool is_since(const KernelLayout& layout, std::string_view first) {
  // In the order of the releases.
  constexpr std::string_view kNames[] = {"5.4", "5.15", "6.1", "6.6", "6.12", "7.1"};
  const auto place = [&](std::string_view name) {
    return std::find(std::begin(kNames), std::end(kNames), name);
  };
  return place(layout.name) >= place(first);
}

void add_enumerations(const Lines& lines, BtfBuilder& btf) {
  Values flags;
  Values types;
  for (const auto& [name, value] : lines.numbers) {
    const auto bits = static_cast<std::uint32_t>(value);
    if (name == "PG_head_mask") {
      flags.emplace_back("PG_head", std::countr_zero(bits));
    } else if (name.starts_with("PG_")) {
      flags.emplace_back(name, static_cast<std::int32_t>(value));
    } else if (name == "HUGETLB_PAGE_DTOR") {
      btf.enumeration("compound_dtor_id",
                      {{"COMPOUND_PAGE_DTOR", 1}, {name, static_cast<int>(value)}});
    } else if (name.ends_with("_MAPCOUNT_VALUE") && (bits & 0xff'ffff) == 0) {
      std::string type = name.substr(5, name.size() - 5 - 15);  // of PAGE_X_MAPCOUNT_VALUE
      std::ranges::transform(type, type.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      types.emplace_back("PGTY_" + type, static_cast<std::int32_t>(bits >> 24));
    }
  }
  btf.enumeration("pageflags", flags);
  if (!types.empty()) {
    btf.enumeration("pagetype", types);
  }
  btf.enumeration("zone_stat_item", {{"NR_FREE_PAGES", 0}, {"NR_ZONE_LRU_BASE", 1}});
  btf.enumeration("migratetype", {{"MIGRATE_UNMOVABLE", 0}, {"MIGRATE_PCPTYPES", 3}});
}

}  // namespace

// struct per_cpu_pageset up to v5.13; lists of higher orders since v5.14, of huge pages two since
// v6.11.
PerCpuLists per_cpu_lists(const KernelLayout& layout) {
  if (!is_since(layout, "5.15")) {
    return {.count_at = 8, .lists_at = 24, .lists = 3};
  }
  return {.count_at = 4, .lists_at = 32, .lists = is_since(layout, "6.12") ? 14U : 15U};
}

std::vector<std::byte> build_types(const KernelLayout& layout) {
  const PerCpuLists sets = per_cpu_lists(layout);
  const bool old = !is_since(layout, "5.15");
  Lines lines = parse_lines(layout.lines);
  BtfBuilder btf;
  const auto u64 = btf.integer("unsigned long", 8);
  const auto i32 = btf.integer("int", 4);
  const auto list = btf.structure("list_head", 16, {{"next", u64, 0}, {"prev", u64, 64}});
  const auto lists = btf.array(list, static_cast<std::uint32_t>(sets.lists));
  const std::uint32_t inner = old ? 8 : 0;
  const auto pages =
      btf.structure("per_cpu_pages", 512,
                    {{"count", i32, static_cast<std::uint32_t>(sets.count_at - inner) * 8},
                     {"lists", lists, static_cast<std::uint32_t>(sets.lists_at - inner) * 8}});
  if (old) {
    btf.structure("per_cpu_pageset", 520, {{"pcp", pages, inner * 8}});
  }
  lines.offsets["zone"][old ? "pageset" : "per_cpu_pageset"] =
      static_cast<std::uint32_t>(sets.in_zone);
  lines.offsets.erase("list_head");
  const auto free_list =
      btf.array(list, static_cast<std::uint32_t>(lines.lengths["free_area.free_list"]));
  const auto area = btf.structure("free_area", static_cast<std::uint32_t>(lines.sizes["free_area"]),
                                  {{"free_list", free_list, 0}, {"nr_free", u64, 80 * 8}});
  lines.offsets.erase("free_area");
  const auto areas = btf.array(area, static_cast<std::uint32_t>(lines.lengths["zone.free_area"]));
  for (const auto& [name, members] : lines.offsets) {
    std::vector<BtfMember> all;
    for (const auto& [member, offset] : members) {
      all.push_back({member, member == "free_area" ? areas : u64, offset * 8});
    }
    // A union, because these members are in no order, and have not their true sizes.
    const auto size = lines.sizes.find(name);
    btf.union_of(name, size == lines.sizes.end() ? 512 : static_cast<std::uint32_t>(size->second),
                 all);
  }
  add_enumerations(lines, btf);
  return btf.build();
}

}  // namespace vmcore::testing
