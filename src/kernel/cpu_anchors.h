// SPDX-License-Identifier: GPL-2.0-or-later
// What the control registers of the vCPUs lead to: page tables, and the kernel image they map.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "src/image/image.h"
#include "src/kernel/page_tables.h"

namespace vmcore::kernel {

// The page tables that a vCPU of the image may be using, the likeliest first; empty where its
// registers do not tell, or it uses none. Several where registers leave it open.
std::vector<PageTables> page_tables_of(const MemoryImage& image, const CpuState& cpu);

// A kernel image found by walking page tables: where it begins, to a multiple
// of the architecture's kernel_align, and its phys_base.
struct KernelAnchor {
  PageTables tables;
  VirtAddr image;
  std::int64_t phys_base = 0;
};

// One anchor for each distinct phys_base that the page tables of `cpu` map the image by.
std::vector<KernelAnchor> find_anchors(const MemoryImage& image, const CpuState& cpu);

// What a vCPU's control registers lead to; the anchors are looked for when they are needed.
struct VcpuTables {
  const CpuState* cpu;
  std::vector<PageTables> tables;
  std::optional<std::vector<KernelAnchor>> anchors;
};

// Of the first 64 vCPUs whose page tables differ: a file may claim any number of them, and those of
// an ordinary guest lead to one kernel, or to two.
std::vector<VcpuTables> distinct_tables(const MemoryImage& image);

}  // namespace vmcore::kernel
