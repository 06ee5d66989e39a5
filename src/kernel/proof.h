// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a kernel is the one that the vCPUs run.
//
// After a reset or a kexec, the previous kernel stays in memory until its pages are used again. Its
// VMCOREINFO, page tables and struct pages fit together like those of a running kernel, so nothing
// in memory distinguishes the two. The page tables of the vCPUs do. The IDT does not: its address
// is the same in every kernel since v4.15 (92a0f81d8957).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/base/address.h"
#include "src/image/image.h"
#include "src/kernel/cpu_anchors.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

// Whether the image tells CR3 of a vCPU, so that a kernel can be proven, and has to be. Not where
// the file is incomplete, and what CR3 leads to is not in it.
bool tells_page_tables(const MemoryImage& image);

// Whether the page tables map the kernel's _stext to where it lies.
bool maps(const PageTables& tables, const GuestKernel& kernel);

// Whether a vCPU with one of these page tables (page_tables_of()) runs the kernel.
bool runs(std::span<const PageTables> tables, const GuestKernel& kernel);

// Why the vCPUs, of an image that tells their page tables, do not show that the kernel runs, in
// words for a remark. Nothing where they do.
std::optional<std::string> why_not_running(const GuestKernel& kernel,
                                           std::span<const VcpuTables> vcpus);

// The pages that the vCPUs use for certain: instructions and stack of those in kernel mode, and
// the page tables that lead to them, ascending. No filter may take one for free or a process's.
std::vector<Pfn> pages_in_use(const MemoryImage& image);

}  // namespace vmcore::kernel
