// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/cpu_anchors.h"

#include <algorithm>
#include <utility>

#include "src/kernel/arch/arch.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxTables = 64;

std::optional<KernelAnchor> find_anchor(const PageTables& tables) {
  const Architecture& arch = tables.arch();
  for (std::uint64_t at = 0; at < arch.max_kernel_image; at += arch.kernel_align) {
    const VirtAddr image = arch.kernel_map + at;
    const auto mapping = tables.translate(image);
    if (!mapping) {
      continue;
    }
    if (mapping->address.value % arch.kernel_align != 0) {
      return std::nullopt;
    }
    return KernelAnchor{tables, image, static_cast<std::int64_t>(mapping->address.value - at)};
  }
  return std::nullopt;
}

bool same_tables(const std::vector<PageTables>& a, const std::vector<PageTables>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.root() == other.root() && one.levels() == other.levels();
  });
}

}  // namespace

std::vector<PageTables> page_tables_of(const MemoryImage& image, const CpuState& cpu) {
  return architecture_of(image.machine).page_tables_of(*image.memory, cpu);
}

std::vector<KernelAnchor> find_anchors(const MemoryImage& image, const CpuState& cpu) {
  std::vector<KernelAnchor> anchors;
  for (const PageTables& tables : page_tables_of(image, cpu)) {
    const auto anchor = find_anchor(tables);
    bool known = !anchor;
    for (const KernelAnchor& have : anchors) {
      known = known || have.phys_base == anchor->phys_base;
    }
    if (!known) {
      anchors.push_back(*anchor);
    }
  }
  return anchors;
}

std::vector<VcpuTables> distinct_tables(const MemoryImage& image) {
  std::vector<VcpuTables> found;
  for (const CpuState& cpu : image.cpus) {
    auto tables = page_tables_of(image, cpu);
    const bool known = std::any_of(found.begin(), found.end(), [&](const VcpuTables& have) {
      return same_tables(have.tables, tables);
    });
    if (!known && !tables.empty() && found.size() < kMaxTables) {
      found.push_back({&cpu, std::move(tables), {}});
    }
  }
  return found;
}

}  // namespace vmcore::kernel
