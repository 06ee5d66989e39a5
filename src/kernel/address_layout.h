// Where a kernel's image and its direct map lie in virtual memory, each verified by translating.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "src/base/address.h"
#include "src/image/memory.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/page_tables.h"

namespace vmcore::kernel {

// __START_KERNEL_map, the same in every x86-64 kernel.
inline constexpr VirtAddr kKernelMap{0xffff'ffff'8000'0000};
// KERNEL_IMAGE_SIZE, at most: 1 GiB with KASLR, 512 MiB without.
inline constexpr std::uint64_t kMaxKernelImage = 1ULL << 30;
// The image begins at a multiple of it (CONFIG_PHYSICAL_ALIGN of x86-64, at least 2 MiB).
inline constexpr std::uint64_t kKernelAlign = 2ULL << 20;

// The physical address of an address of the kernel image; wraps where phys_base is nonsense.
constexpr PhysAddr image_to_physical(VirtAddr address, std::int64_t phys_base) {
  return {address - kKernelMap + static_cast<std::uint64_t>(phys_base)};
}

// How far the mapping goes on linearly by phys_base from `begin`, a multiple of 2 MiB; looked at
// each 2 MiB. Holes of a few MiB are stepped over: with page table isolation the pages of freed
// init sections are unmapped (v4.19, c40a56a7818c).
std::uint64_t linear_size(const PageTables& tables, std::int64_t phys_base, VirtAddr begin);

// The start of the direct map: the first of `candidates` that is a multiple of 1 GiB, below the
// kernel image and maps RAM one to one wherever tried.
std::optional<VirtAddr> verified_page_offset(const GuestKernel& kernel,
                                             std::span<const VirtAddr> candidates);

// Page offset as told by the root array of mem_section, which lies in the direct map.
std::optional<VirtAddr> page_offset_from_mem_section(const GuestKernel& kernel);

}  // namespace vmcore::kernel
