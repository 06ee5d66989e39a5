// SPDX-License-Identifier: GPL-2.0-or-later
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

// How far the mapping goes on linearly by phys_base from `begin`, a multiple of the architecture's
// kernel_align; looked at in such steps. Holes of a few MiB are stepped over: with page table
// isolation the pages of freed init sections are unmapped (v4.19, c40a56a7818c).
std::uint64_t linear_size(const PageTables& tables, std::int64_t phys_base, VirtAddr begin);

// The start of the direct map: the first of `candidates` where the architecture allows it to begin
// and which maps RAM one to one wherever tried.
std::optional<VirtAddr> verified_page_offset(const GuestKernel& kernel,
                                             std::span<const VirtAddr> candidates);

// Page offset as told by the root array of mem_section, which lies in the direct map.
std::optional<VirtAddr> page_offset_from_mem_section(const GuestKernel& kernel);

}  // namespace vmcore::kernel
