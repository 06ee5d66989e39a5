// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/memory_section.h"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "src/image/page.h"
#include "src/kernel/lists.h"

namespace vmcore::triage {
namespace {

constexpr std::size_t kBiggest = 20;
constexpr std::uint64_t kMaxNodes = 1024;  // MAX_NUMNODES
constexpr std::uint64_t kMaxZones = 8;     // MAX_NR_ZONES
constexpr std::size_t kMaxCaches = 10'000;
constexpr std::uint64_t kPlausible = kMaxPhysAddr / kPageSize;  // pages

// Counters of pages, by the enumerators that number them. A kernel has some of them.
constexpr std::array<std::string_view, 5> kOfZones{"NR_FREE_PAGES", "NR_MLOCK", "NR_BOUNCE",
                                                   "NR_ZSPAGES", "NR_FREE_CMA_PAGES"};
constexpr std::array<std::string_view, 11> kOfNodes{
    "NR_ANON_MAPPED", "NR_FILE_PAGES",    "NR_SHMEM",      "NR_FILE_DIRTY",
    "NR_WRITEBACK",   "NR_ANON_THPS",     "NR_PAGETABLE",  "NR_INACTIVE_ANON",
    "NR_ACTIVE_ANON", "NR_INACTIVE_FILE", "NR_ACTIVE_FILE"};
// They are counted in bytes since v5.9 (d42f3245c7e2), by one counter less before.
constexpr std::array<std::string_view, 2> kSlabs{"NR_SLAB_RECLAIMABLE_B",
                                                 "NR_SLAB_UNRECLAIMABLE_B"};

// A sum over CPUs that are not all counted yet may be a little below 0.
std::uint64_t pages_or_none(std::uint64_t count) { return count < kPlausible ? count : 0; }

template <std::size_t count>
void add_counters(Knowledge& knowledge, std::string_view array, std::string_view enumeration,
                  const std::array<std::string_view, count>& names,
                  std::vector<report::NamedBytes>& counters) {
  const auto base = knowledge.symbol(array);
  for (const std::string_view name : names) {
    const auto index = base && !name.empty() ? knowledge.btf->enumerator(name, enumeration)
                                             : fail(Errc::not_found, "no counters");
    constexpr std::int64_t kMostCounters = 512;
    if (!index || *index < 0 || *index >= kMostCounters) {
      continue;
    }
    const auto value = knowledge.kernel.read_value<std::uint64_t>(
        *base + static_cast<std::uint64_t>(*index) * sizeof(std::uint64_t));
    if (value) {
      counters.push_back({std::string(name), pages_or_none(*value) * kPageSize});
    }
  }
}

// The nodes that are online: node_data[] of pointers to struct pglist_data.
std::vector<VirtAddr> nodes_of(Knowledge& knowledge) {
  std::vector<VirtAddr> nodes;
  const auto table = knowledge.symbol("node_data");
  if (!table) {
    const auto only = knowledge.symbol("contig_page_data");  // without CONFIG_NUMA
    return only ? std::vector<VirtAddr>{*only} : nodes;
  }
  const auto next = knowledge.kallsyms.at(*table);
  const std::uint64_t entries =
      next ? std::min(next->size / sizeof(std::uint64_t), kMaxNodes) : std::uint64_t{1};
  for (std::uint64_t i = 0; i < entries; ++i) {
    const auto node =
        knowledge.kernel.read_value<std::uint64_t>(*table + i * sizeof(std::uint64_t));
    if (!node || *node == 0) {
      break;
    }
    nodes.push_back({*node});
  }
  return nodes;
}

Result<report::ZoneUse> zone_use(Knowledge& knowledge, VirtAddr zone, unsigned node) {
  report::ZoneUse use{.node = node};
  TRY_ASSIGN(const VirtAddr name, knowledge.pointer(zone, "zone.name"));
  constexpr std::size_t kMaxZoneName = 32;
  TRY_ASSIGN(use.name, knowledge.text_at(name, kMaxZoneName));
  TRY_ASSIGN(use.present, knowledge.number(zone, "zone.present_pages"));
  TRY_ASSIGN(use.managed, knowledge.number(zone, "zone.managed_pages"));
  TRY_ASSIGN(const VirtAddr counters, knowledge.place(zone, "zone.vm_stat"));
  TRY_ASSIGN(const auto free, knowledge.btf->enumerator("NR_FREE_PAGES", "zone_stat_item"));
  TRY_ASSIGN(const auto pages,
             knowledge.kernel.read_value<std::uint64_t>(
                 counters + static_cast<std::uint64_t>(free) * sizeof(std::uint64_t)));
  use.free = pages_or_none(pages);
  // _watermark[WMARK_LOW] (v5.0, 1c30844d2dfe: watermark before it).
  if (const auto marks = knowledge.place(zone, "zone._watermark")) {
    const auto low = knowledge.kernel.read_value<std::uint64_t>(*marks + sizeof(std::uint64_t));
    use.low = pages_or_none(low.value_or(0));
  }
  return use;
}

void add_zones(Knowledge& knowledge, std::vector<report::ZoneUse>& zones) {
  const auto field = knowledge.field("pglist_data.node_zones");
  const auto size = knowledge.btf->size_of("zone");
  if (!field || !size || *size == 0) {
    return;
  }
  const auto nodes = nodes_of(knowledge);
  for (std::size_t node = 0; node < nodes.size(); ++node) {
    for (std::uint64_t i = 0; i < std::min(field->size / *size, kMaxZones); ++i) {
      auto use = zone_use(knowledge, nodes[node] + field->offset() + i * *size,
                          static_cast<unsigned>(node));
      if (use && use->present != 0 && use->present < kPlausible &&
          zones.size() < report::kMaxEntries) {
        zones.push_back(*std::move(use));
      }
    }
  }
}

template <class T, class Size>
void keep_biggest(std::vector<T>& all, Size size) {
  const auto end = all.begin() + static_cast<std::ptrdiff_t>(std::min(kBiggest, all.size()));
  std::ranges::partial_sort(all, end, std::ranges::greater(), size);
  all.erase(end, all.end());
}

// Where a cache has the pointer to what it has of node 0, and how far the next one is.
struct NodePointers {
  VirtAddr first;
  std::uint64_t stride = 0;
};

// Since v7.1 (5ba6bc27b1f9) each stands beside the pointer to the node's barn.
Result<NodePointers> node_pointers(Knowledge& knowledge, VirtAddr cache) {
  if (const auto table = knowledge.place(cache, "kmem_cache.node")) {
    return NodePointers{*table, sizeof(std::uint64_t)};
  }
  TRY_ASSIGN(const VirtAddr table, knowledge.place(cache, "kmem_cache.per_node"));
  TRY_ASSIGN(const kernel::BtfField node, knowledge.field("kmem_cache_per_node_ptrs.node"));
  TRY_ASSIGN(const std::uint64_t stride, knowledge.btf->size_of("kmem_cache_per_node_ptrs"));
  return NodePointers{table + node.offset(), stride};
}

// The slabs of a cache on all nodes: struct kmem_cache_node counts them with CONFIG_SLUB_DEBUG. A
// slab has 2^(oo.x >> 16) pages (OO_SHIFT).
Result<report::NamedBytes> cache_use(Knowledge& knowledge, VirtAddr cache, std::size_t nodes) {
  report::NamedBytes use;
  TRY_ASSIGN(const VirtAddr name, knowledge.pointer(cache, "kmem_cache.name"));
  TRY_ASSIGN(use.name, knowledge.text_at(name, report::kMaxName));
  TRY_ASSIGN(const std::uint64_t objects, knowledge.number(cache, "kmem_cache.oo.x"));
  TRY_ASSIGN(const NodePointers pointers, node_pointers(knowledge, cache));
  constexpr std::uint64_t kOrderShift = 16, kMaxOrder = 10;
  const std::uint64_t order = objects >> kOrderShift;
  if (order > kMaxOrder) {
    return fail(Errc::malformed, "slabs of order {}", order);
  }
  for (std::size_t node = 0; node < nodes; ++node) {
    TRY_ASSIGN(const auto of_node,
               knowledge.kernel.read_value<std::uint64_t>(pointers.first + node * pointers.stride));
    if (of_node != 0) {
      TRY_ASSIGN(const std::uint64_t slabs,
                 knowledge.number({of_node}, "kmem_cache_node.nr_slabs"));
      use.bytes += pages_or_none(slabs << order) * kPageSize;
    }
  }
  return use;
}

void add_slabs(Knowledge& knowledge, std::vector<report::NamedBytes>& slabs) {
  const auto head = knowledge.symbol("slab_caches");
  const auto link = knowledge.field("kmem_cache.list");
  if (!head || !link) {
    return;
  }
  const std::size_t nodes = std::max<std::size_t>(1, nodes_of(knowledge).size());
  for (const VirtAddr entry : kernel::walk_list(knowledge.kernel, *head, kMaxCaches).entries) {
    auto use = cache_use(knowledge, {entry.value - link->offset()}, nodes);
    if (use && use->bytes != 0) {
      slabs.push_back(*std::move(use));
    }
  }
  keep_biggest(slabs, &report::NamedBytes::bytes);
}

// MM_FILEPAGES, MM_ANONPAGES and MM_SHMEMPAGES of mm_struct.rss_stat: struct percpu_counters since
// v6.2 (f1a7941243c1), words before. MM_SWAPENTS is between them.
Result<std::uint64_t> rss_of(Knowledge& knowledge, VirtAddr mm) {
  constexpr std::array<std::uint64_t, 3> kCounted{0, 1, 3};
  TRY_ASSIGN(const kernel::BtfField stat, knowledge.field("mm_struct.rss_stat"));
  std::uint64_t stride = sizeof(std::uint64_t);
  std::uint64_t begin = 0;
  constexpr std::uint64_t kMostWords = 64;
  if (stat.size > kMostWords) {
    TRY_ASSIGN(stride, knowledge.btf->size_of("percpu_counter"));
    TRY_ASSIGN(const kernel::BtfField count, knowledge.field("percpu_counter.count"));
    begin = count.offset();
  }
  std::uint64_t pages = 0;
  for (const std::uint64_t index : kCounted) {
    const VirtAddr at = mm + (stat.offset() + index * stride + begin);
    TRY_ASSIGN(const auto value, knowledge.kernel.read_value<std::uint64_t>(at));
    pages += pages_or_none(value);
  }
  return pages * kPageSize;
}

void add_tasks(Knowledge& knowledge, const std::vector<kernel::Task>& tasks,
               std::vector<report::TaskMemory>& biggest) {
  for (const kernel::Task& task : tasks) {
    if (task.pid != task.tgid) {
      continue;
    }
    const auto mm = knowledge.pointer(task.address, "task_struct.mm");
    const auto rss = mm && mm->value != 0 ? rss_of(knowledge, *mm) : fail(Errc::not_found, "none");
    if (rss) {
      biggest.push_back({{task.pid, task.tgid, task.comm}, *rss});
    }
  }
  keep_biggest(biggest, &report::TaskMemory::rss);
}

}  // namespace

report::Known<report::TriageMemory> memory_section(Knowledge& knowledge,
                                                   const std::vector<kernel::Task>& tasks) {
  if (!knowledge.btf) {
    return {.why_not = knowledge.btf.error().message};
  }
  report::TriageMemory memory;
  add_zones(knowledge, memory.zones);
  add_counters(knowledge, "vm_zone_stat", "zone_stat_item", kOfZones, memory.counters);
  add_counters(knowledge, "vm_node_stat", "node_stat_item", kOfNodes, memory.counters);
  add_counters(knowledge, "vm_node_stat", "node_stat_item", kSlabs, memory.counters);
  add_slabs(knowledge, memory.slabs);
  add_tasks(knowledge, tasks, memory.tasks);
  return {.value = std::move(memory)};
}

}  // namespace vmcore::triage
