#include "src/kernel/cpu_anchors.h"

#include <algorithm>
#include <utility>

#include "src/kernel/address_layout.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxTables = 64;

constexpr std::uint64_t kCr0Paging = 1ULL << 31;
constexpr std::uint64_t kCr3Address = 0x000f'ffff'ffff'f000;
constexpr std::uint64_t kCr3UserHalf = 1ULL << 12;
constexpr std::uint64_t kCr4FiveLevels = 1ULL << 12;

std::optional<KernelAnchor> find_anchor(const PageTables& tables) {
  for (std::uint64_t at = 0; at < kMaxKernelImage; at += kKernelAlign) {
    const VirtAddr image = kKernelMap + at;
    const auto mapping = tables.translate(image);
    if (!mapping) {
      continue;
    }
    if (mapping->address.value % kKernelAlign != 0) {
      return std::nullopt;
    }
    return KernelAnchor{tables, image, static_cast<std::int64_t>(mapping->address.value - at)};
  }
  return std::nullopt;
}

bool same_tables(const std::vector<PageTables>& a, const std::vector<PageTables>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.root() == other.root() && one.five_levels() == other.five_levels();
  });
}

}  // namespace

std::vector<PageTables> page_tables_of(const PhysicalMemory& memory, const CpuState& cpu) {
  std::vector<PageTables> candidates;
  if (!cpu.cr3 || (cpu.cr0 && (*cpu.cr0 & kCr0Paging) == 0)) {
    return candidates;
  }
  std::vector<bool> five_levels{false, true};
  if (cpu.cr4) {
    five_levels = {(*cpu.cr4 & kCr4FiveLevels) != 0};
  }
  const std::uint64_t root = *cpu.cr3 & kCr3Address;
  for (const bool five : five_levels) {
    if ((root & kCr3UserHalf) != 0) {
      candidates.emplace_back(memory, PhysAddr{root & ~kCr3UserHalf}, five, 0);
    }
    candidates.emplace_back(memory, PhysAddr{root}, five, 0);
  }
  return candidates;
}

std::vector<KernelAnchor> find_anchors(const PhysicalMemory& memory, const CpuState& cpu) {
  std::vector<KernelAnchor> anchors;
  for (const PageTables& tables : page_tables_of(memory, cpu)) {
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
    auto tables = page_tables_of(*image.memory, cpu);
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
