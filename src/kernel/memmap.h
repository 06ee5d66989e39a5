// SPDX-License-Identifier: GPL-2.0-or-later
// The memmap: where the struct page of each page frame lies. SPARSEMEM (extreme, static, vmemmap)
// and FLATMEM.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/result.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

// Page frames whose struct pages are an array in virtual memory.
struct MemmapRun {
  Pfn first;
  std::uint64_t count = 0;  // page frames
  VirtAddr pages;           // of the struct page of `first`
  // None of its sections is online, and no struct pages of such sections lie in it: the kernel may
  // have no use for it, or it is memory of a device.
  bool offline = false;
};

struct Memmap {
  std::vector<MemmapRun> runs;         // sorted by pfn, disjoint, each at least one page
  std::uint64_t struct_page_size = 0;  // bytes: SIZE(page), validated (32 to 256, multiple of 8)
};

// Reads mem_section (or mem_map). Runs are cut to page frames below kMaxPhysAddr. Sections without
// SECTION_MARKED_PRESENT have no memmap; those that are present, but point to no kernel address,
// are runs whose struct pages cannot be read. No run is offline where the section of the kernel's
// own text is not online: the flag is not understood then. Errc::not_found where VMCOREINFO does
// not tell, and Errc::malformed where it contradicts itself: the caller filters nothing then.
Result<Memmap> read_memmap(const GuestKernel& kernel);

}  // namespace vmcore::kernel
