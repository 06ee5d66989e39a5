// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel's zones: what they count as free, and how struct pages name them.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "filters/page_layout.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::filters {

struct Zone {
  std::uint64_t node = 0;
  std::uint64_t index = 0;  // in its node
  VirtAddr address;         // of its struct zone
};

// The zones of all nodes, at most 65536. Nothing where VMCOREINFO does not lead to them, or a node
// cannot be read.
std::optional<std::vector<Zone>> read_zones(const kernel::GuestKernel& kernel);

// Free pages, in all zones.
struct FreeCount {
  // NR_FREE_PAGES (struct zone.vm_stat). It lags behind by what CPUs keep to themselves. It has
  // unaccepted memory, and not what is free in isolated blocks (MIGRATE_ISOLATE: memory that is
  // taken offline, allocated by CMA or unplugged from virtio-mem).
  std::uint64_t counter = 0;
  // nr_free of the zones' free lists: blocks of the buddy allocator, isolated ones among them.
  // Exact where the guest stands still. Nothing where VMCOREINFO does not lead there.
  std::optional<std::uint64_t> listed;
};

// Nothing where VMCOREINFO does not lead to the counters.
std::optional<FreeCount> count_free(const kernel::GuestKernel& kernel,
                                    const std::vector<Zone>& zones);

// How page.flags names zones, checked against pages from their free lists. Nothing where that
// fails.
std::optional<ZoneField> find_zone_field(const kernel::GuestKernel& kernel,
                                         const std::vector<Zone>& zones, const PageLayout& layout);

}  // namespace vmcore::filters
