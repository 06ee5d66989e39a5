// SPDX-License-Identifier: GPL-2.0-or-later
// Which of the kernels in memory booted last. A kernel that is gone leaves its image behind, whole
// until somebody needs the pages: nothing in the image itself tells it from one that runs.
#pragma once

#include "src/image/memory.h"
#include "src/kernel/page_tables.h"

namespace vmcore::kernel {

// Whether the page tables for starting CPUs, which each kernel that boots writes below 1 MiB, lead
// to these, and no others are there. False too where nothing can be said. Reads 640 KiB.
// Source: arch/x86/realmode/init.c, setup_real_mode (v4.15 to v6.18): entry 511 of trampoline_pgd
// is that of init_top_pgt.
bool x86_64_booted_last(const PageTables& tables, const PhysicalMemory& memory);

}  // namespace vmcore::kernel
