// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/address_layout.h"

#include <algorithm>

#include "src/kernel/arch/arch.h"

namespace vmcore::kernel {
namespace {

// The largest freed part of an image (init text and data) is a few MiB.
constexpr unsigned kMaxHoleSteps = 16;

// RAM from 1 MiB on, denser at the bottom: low memory, below and above the PCI hole, far up.
bool maps_ram_one_to_one(const GuestKernel& kernel, VirtAddr page_offset) {
  unsigned agreeing = 0;
  for (PhysAddr at{1 << 20}; at.value < kMaxPhysAddr; at.value *= 2) {
    for (const PhysAddr probe : {at, at + at.value / 2}) {
      if (kernel.memory().presence(probe) == Presence::absent) {
        continue;
      }
      const auto mapping = kernel.page_tables().translate(page_offset + probe.value);
      if (mapping && mapping->address != probe) {
        return false;
      }
      agreeing += mapping ? 1U : 0U;
    }
  }
  return agreeing != 0;
}

}  // namespace

std::uint64_t linear_size(const PageTables& tables, std::int64_t phys_base, VirtAddr begin) {
  const Architecture& arch = tables.arch();
  // The bytes that are mapped linearly from `offset` on, within one page.
  const auto linear = [&](std::uint64_t offset) -> std::uint64_t {
    const auto mapping = tables.translate(begin + offset);
    return mapping && mapping->address == arch.image_to_physical(begin + offset, phys_base)
               ? mapping->size
               : 0;
  };
  const std::uint64_t limit =
      arch.max_kernel_image - std::min(arch.max_kernel_image, begin - arch.kernel_map);
  std::uint64_t size = 0;
  unsigned hole = 0;
  for (std::uint64_t at = 0; at < limit && hole < kMaxHoleSteps; at += arch.kernel_align) {
    hole = linear(at) != 0 ? 0 : hole + 1;
    size = hole == 0 ? at : size;
  }
  for (std::uint64_t more = linear(size); more != 0 && size < limit; more = linear(size)) {
    size += more;
  }
  return std::min(size, limit);
}

std::optional<VirtAddr> verified_page_offset(const GuestKernel& kernel,
                                             std::span<const VirtAddr> candidates) {
  const Architecture& arch = kernel.arch();
  for (const VirtAddr candidate : candidates) {
    if (candidate.value % arch.direct_map_align == 0 && candidate < arch.kernel_map &&
        maps_ram_one_to_one(kernel, candidate)) {
      return candidate;
    }
  }
  return std::nullopt;
}

std::optional<VirtAddr> page_offset_from_mem_section(const GuestKernel& kernel) {
  const auto symbol = kernel.info().symbol("mem_section");
  if (!symbol) {
    return std::nullopt;
  }
  // Before v4.15 the root array is part of the image, and what it points to is in the direct map.
  const auto first_root = kernel.read_value<std::uint64_t>(*symbol);
  for (const VirtAddr at : {*symbol, VirtAddr{first_root.value_or(0)}}) {
    const auto mapping = kernel.page_tables().translate(at);
    if (mapping && at < kernel.arch().kernel_map && at.value > mapping->address.value) {
      return VirtAddr{at.value - mapping->address.value};
    }
  }
  return std::nullopt;
}

}  // namespace vmcore::kernel
