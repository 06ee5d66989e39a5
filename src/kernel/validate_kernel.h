// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a VMCOREINFO, which is a claim wherever it came from, describes the memory it is in. Each
// failure is Errc::malformed, or that of reading memory.
#pragma once

#include <cstdint>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/page_tables.h"
#include "src/kernel/vmcoreinfo.h"

namespace vmcore::kernel {

// The kernel that `info` describes, with page tables and phys_base: its _stext is mapped there, and
// its release stands in memory. The memory is borrowed.
Result<GuestKernel> validate_kernel(const Architecture& arch, const PhysicalMemory& memory,
                                    const Vmcoreinfo& info, std::int64_t phys_base);

// _stext lies where phys_base says: else it is another kernel's VMCOREINFO, or a wrong phys_base.
Result<> check_stext(const PageTables& tables, VirtAddr stext, std::int64_t phys_base);

// Where both build-ids can be had, they have to agree: debug information is found by them.
Result<> check_build_id(const GuestKernel& kernel);

}  // namespace vmcore::kernel
