// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/zones.h"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "src/base/little_endian.h"
#include "src/kernel/arch/arch.h"

namespace vmcore::filters {
namespace {

using kernel::GuestKernel;
using kernel::Vmcoreinfo;

constexpr std::uint64_t kMaxNodes = 4096;
constexpr std::uint64_t kMaxZones = 16;  // of a node
constexpr std::uint64_t kMaxZoneBytes = 1U << 20;
constexpr std::uint64_t kMaxTypes = 64;         // of migration
constexpr std::uint64_t kListBytes = 16;        // struct list_head
constexpr std::uint64_t kMaxFree = 1ULL << 52;  // pages: more than there is memory

std::vector<VirtAddr> read_nodes(const GuestKernel& kernel) {
  const Vmcoreinfo& info = kernel.info();
  if (const auto contiguous = info.symbol("contig_page_data")) {
    return {*contiguous};
  }
  const auto table = info.symbol("node_data");
  if (!table) {
    return {};
  }
  std::vector<std::uint64_t> pointers(std::min(info.length("node_data").value_or(1), kMaxNodes));
  const auto read = kernel.read(*table, std::as_writable_bytes(std::span(pointers)));
  pointers.resize(read ? read->good / sizeof(std::uint64_t) : 0);
  std::vector<VirtAddr> nodes;
  for (const std::uint64_t node : pointers) {
    nodes.push_back({node});
  }
  return nodes;
}

// A zone's free lists: an array of struct free_area, one an order. Its count follows its lists
// (include/linux/mmzone.h); VMCOREINFO does not tell its place.
struct FreeLists {
  std::uint64_t offset = 0;  // in struct zone
  std::uint64_t orders = 0;
  std::uint64_t area_size = 0;  // bytes
  std::uint64_t count_at = 0;   // in struct free_area
  std::uint64_t lists_at = 0;
  std::uint64_t types = 0;  // lists
};

std::optional<FreeLists> free_lists(const Vmcoreinfo& info) {
  const auto offset = info.offset("zone.free_area");
  const auto orders = info.length("zone.free_area");
  const auto area_size = info.size("free_area");
  const auto lists_at = info.offset("free_area.free_list");
  const auto types = info.length("free_area.free_list");
  const auto zone_size = info.size("zone");
  if (!offset || !orders || !area_size || !lists_at || !types || !zone_size ||
      info.size("list_head") != kListBytes || *zone_size > kMaxZoneBytes ||
      *orders > kMaxOrder + 1 || *types > kMaxTypes || *lists_at > kMaxZoneBytes ||
      *area_size > kMaxZoneBytes) {
    return std::nullopt;
  }
  const FreeLists lists{*offset,   *orders, *area_size, *lists_at + *types * kListBytes,
                        *lists_at, *types};
  if (lists.count_at + 8 > lists.area_size || *offset > *zone_size ||
      lists.orders * lists.area_size > *zone_size - *offset) {
    return std::nullopt;
  }
  return lists;
}

// The struct free_area of all orders.
std::optional<std::vector<std::byte>> read_areas(const GuestKernel& kernel, const Zone& zone,
                                                 const FreeLists& lists) {
  std::vector<std::byte> areas(lists.orders * lists.area_size);
  const auto read = kernel.read_exactly(zone.address + lists.offset, areas);
  return read ? std::optional(std::move(areas)) : std::nullopt;
}

std::optional<std::uint64_t> listed_in(const GuestKernel& kernel, const std::vector<Zone>& zones) {
  const auto lists = free_lists(kernel.info());
  if (!lists) {
    return std::nullopt;
  }
  std::uint64_t sum = 0;
  for (const Zone& zone : zones) {
    const auto areas = read_areas(kernel, zone, *lists);
    if (!areas) {
      return std::nullopt;
    }
    for (std::uint64_t order = 0; order < lists->orders; ++order) {
      const auto blocks = load<std::uint64_t>(*areas, order * lists->area_size + lists->count_at);
      const std::uint64_t most = kMaxFree >> order;
      sum = std::min(sum + (std::min(blocks.value_or(0), most) << order), kMaxFree);
    }
  }
  return sum;
}

// The flags of some page that is free in the zone.
std::optional<std::uint64_t> flags_in(const GuestKernel& kernel, const Zone& zone,
                                      const FreeLists& lists, const PageLayout& layout,
                                      std::uint64_t lru) {
  const auto areas = read_areas(kernel, zone, lists);
  for (std::uint64_t i = lists.orders * lists.types; areas && i-- > 0;) {
    const std::uint64_t at =
        i / lists.types * lists.area_size + lists.lists_at + i % lists.types * kListBytes;
    const std::uint64_t first = load<std::uint64_t>(*areas, at).value_or(0);
    if (first > lru && VirtAddr{first} != zone.address + (lists.offset + at)) {
      const auto flags = kernel.read_value<std::uint64_t>({first - lru + layout.flags});
      return flags ? std::optional(*flags) : std::nullopt;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::vector<Zone>> read_zones(const GuestKernel& kernel) {
  const Vmcoreinfo& info = kernel.info();
  const auto zones_at = info.offset("pglist_data.node_zones");
  const auto count_at = info.offset("pglist_data.nr_zones");
  const auto size = info.size("zone");
  if (!zones_at || !count_at || !size || *size > kMaxZoneBytes || *zones_at > (1U << 24) ||
      *count_at > (1U << 24)) {
    return std::nullopt;
  }
  std::vector<Zone> zones;
  const std::vector<VirtAddr> nodes = read_nodes(kernel);
  for (std::uint64_t node = 0; node < nodes.size(); ++node) {
    if (nodes[node].value == 0) {
      continue;
    }
    const auto count = kernel.read_value<std::uint32_t>(nodes[node] + *count_at);
    if (!count || *count > kMaxZones) {
      return std::nullopt;
    }
    for (std::uint64_t index = 0; index < *count; ++index) {
      zones.push_back({node, index, nodes[node] + (*zones_at + index * *size)});
    }
  }
  return zones.empty() ? std::nullopt : std::optional(std::move(zones));
}

std::optional<FreeCount> count_free(const GuestKernel& kernel, const std::vector<Zone>& zones) {
  const auto stat_at = kernel.info().offset("zone.vm_stat");
  const auto index = kernel.info().number("NR_FREE_PAGES");
  if (!stat_at || *stat_at > kMaxZoneBytes || !index || *index < 0 || *index > 64) {
    return std::nullopt;
  }
  FreeCount count;
  for (const Zone& zone : zones) {
    const auto free = kernel.read_value<std::int64_t>(
        zone.address + (*stat_at + static_cast<std::uint64_t>(*index) * 8));
    if (!free) {
      return std::nullopt;
    }
    count.counter = std::min(
        count.counter + static_cast<std::uint64_t>(std::max<std::int64_t>(*free, 0)), kMaxFree);
  }
  count.listed = listed_in(kernel, zones);
  return count;
}

// The node and the zone are the uppermost bits of page.flags where the memmap is a vmemmap
// (include/linux/page-flags-layout.h). There are MAX_NUMNODES nodes.
std::optional<ZoneField> find_zone_field(const GuestKernel& kernel, const std::vector<Zone>& zones,
                                         const PageLayout& layout) {
  const auto lists = free_lists(kernel.info());
  const auto lru = kernel.info().offset("page.lru");
  const std::uint64_t nodes =
      kernel.info().symbol("contig_page_data") ? 1 : kernel.info().length("node_data").value_or(0);
  if (!lists || !lru || *lru >= layout.struct_size || !std::has_single_bit(nodes) ||
      nodes > kMaxNodes) {
    return std::nullopt;
  }
  const unsigned zone_bits = kernel.arch().zone_bits;
  const ZoneField field{64 - zone_bits - static_cast<unsigned>(std::countr_zero(nodes)), zone_bits,
                        kernel.arch().device_zone};
  bool told = false;
  for (const Zone& zone : zones) {
    if (const auto flags = flags_in(kernel, zone, *lists, layout, *lru)) {
      if (field.place_of(*flags) != (zone.node << zone_bits | zone.index)) {
        return std::nullopt;
      }
      told = told || field.place_of(*flags) != 0;  // zero is zero at every place
    }
  }
  return told ? std::optional(field) : std::nullopt;
}

}  // namespace vmcore::filters
