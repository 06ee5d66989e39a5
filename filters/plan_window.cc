// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/plan_window.h"

#include <algorithm>

#include "src/image/page.h"

namespace vmcore::filters {
namespace {

// The least hole that is worth two reads, of what lies before it and behind it.
constexpr std::uint64_t kLeastHole = 64 << 10;

// The whole pages that the range touches.
PfnRange pages_of(PhysRange range) {
  const std::uint64_t first = pfn_of(range.begin).value;
  const std::uint64_t end = ceil_div(range.end().value, kPageSize);
  return {{first}, end - first};
}

}  // namespace

PfnRange next_window(const PhysicalMemory& memory, Pfn from, std::uint64_t size) {
  for (PhysAddr address = address_of(from); address.value < kMaxPhysAddr;) {
    const Extent extent = memory.outline(address);
    if (extent.presence != Presence::absent) {
      return {{address.value / kPageSize / size * size}, size};
    }
    if (extent.range.end() <= address) {
      break;
    }
    address = extent.range.end();
  }
  return {};
}

PlanWindow outline(const PhysicalMemory& memory, PfnRange window) {
  PlanWindow found;
  PlannedPages& pages = found.pages;
  const std::uint64_t end = std::min(kMaxPhysAddr, address_of(window.end()).value);
  for (PhysAddr address = address_of(window.first); address.value < end;) {
    Extent extent = memory.outline(address);
    if (extent.range.end() <= address) {
      break;
    }
    const PhysAddr next = extent.range.end();
    const PhysAddr begin = std::max(extent.range.begin, address);
    const PfnRange run = pages_of({begin, std::min(next.value, end) - begin.value});
    if (extent.presence != Presence::absent) {
      pages.ram.insert(run);
    }
    if (extent.presence == Presence::data || extent.presence == Presence::zero) {
      pages.kept.insert(run);
    }
    if (extent.presence == Presence::lost) {
      pages.lost.insert(run);
    }
    address = next;
  }
  pages.lost.erase(pages.kept);  // a part of the page is there: it is tried
  found.excluded_before = pages.ram.count() - pages.kept.count() - pages.lost.count();
  return found;
}

void exclude(ClassMask classes, PlanWindow& window) {
  auto& no_memmap = window.census.pages[static_cast<std::size_t>(PageClass::no_memmap)];
  no_memmap.insert(window.pages.ram);
  no_memmap.erase(window.census.with_memmap);
  for (const ClassName& entry : kClassNames) {
    if ((classes & mask_of(entry.page_class)) != 0) {
      const PageSet& pages = window.census.pages[static_cast<std::size_t>(entry.page_class)];
      window.pages.kept.erase(pages);
      window.pages.lost.erase(pages);
    }
  }
}

PageSet find_zeros(const PhysicalMemory& memory, const PageSet& among) {
  PageSet zero;
  const Pfn end = among.end();
  for (PfnRange run = among.next_run({0}, end); run.count != 0;) {
    const PhysAddr address = address_of(run.first);
    const Extent extent = memory.extent(address);
    if (extent.range.end() <= address) {
      break;
    }
    const Pfn hole_end = pages_of(extent.range).end();
    if (extent.presence == Presence::zero && extent.range.size >= kLeastHole) {
      zero.insert({run.first, std::min(hole_end, end) - run.first});
    }
    run = among.next_run(hole_end, end);
  }
  return zero;
}

}  // namespace vmcore::filters
