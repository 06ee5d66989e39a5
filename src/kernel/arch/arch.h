// SPDX-License-Identifier: GPL-2.0-or-later
// What is known about the kernels of one architecture: one const struct for each architecture,
// chosen by Machine::arch. All code outside this folder includes this header, and x86_64_unwind.h.
//
// To add an architecture: add a source file here that defines the struct, a row in kArchitectures
// (arch.cc), a row in kArchNames (src/image/arch.h), and a test.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/image.h"
#include "src/kernel/page_tables.h"
#include "src/kernel/vmcoreinfo.h"

namespace vmcore::kernel {

struct Architecture {
  Arch arch = Arch::unknown;

  // The layout of virtual memory. All kernel addresses are at or above `kernel_half`, whatever the
  // number of page table levels.
  VirtAddr kernel_half;
  // Never mapped, whatever the number of page table levels.
  VirtAddr nowhere;
  // The kernel image lies at PA = VA - kernel_map + phys_base, begins at a multiple of
  // kernel_align, and has at most max_kernel_image bytes.
  VirtAddr kernel_map;
  std::uint64_t kernel_align = 0;
  std::uint64_t max_kernel_image = 0;
  // The direct map begins at a multiple of direct_map_align below kernel_map; without KASLR at one
  // of fixed_page_offsets.
  std::uint64_t direct_map_align = 0;
  std::span<const VirtAddr> fixed_page_offsets;

  // SECTION_SIZE_BITS and MAX_PHYSMEM_BITS of kernels that do not export them.
  unsigned section_bits = 0;
  unsigned (*memory_bits)(const PageTables& tables) = nullptr;
  // Of kernels with ZONE_DEVICE: ZONES_WIDTH in page.flags, and that zone's number.
  unsigned zone_bits = 0;
  unsigned device_zone = 0;

  // PageTables::translate().
  Result<Mapping> (*translate)(const PageTables& tables, VirtAddr address,
                               std::vector<PhysAddr>* way) = nullptr;

  // Whether the source of the registers knew those that lead to page tables.
  bool (*tells_page_tables)(const CpuState& cpu) = nullptr;
  // The page tables that a vCPU may be using, the likeliest first; empty where the registers do not
  // tell, or paging is off.
  std::vector<PageTables> (*page_tables_of)(const PhysicalMemory& memory,
                                            const CpuState& cpu) = nullptr;
  // Memory that a vCPU uses for certain: its page tables, or its instructions where paging is off.
  // Nothing where the registers do not tell, or the vCPU may wait to be started.
  std::optional<PhysAddr> (*place_of)(const CpuState& cpu) = nullptr;
  // Registers that may hold the base of Linux's per-CPU data, the likeliest first.
  std::array<std::optional<std::uint64_t>, 2> (*per_cpu_bases)(const CpuState& cpu) = nullptr;

  // The registers that an exception saves, in the order of struct pt_regs (8 bytes each), and those
  // of them in which the first arguments of a function are passed.
  std::span<const std::string_view> exception_registers;
  std::span<const std::string_view> argument_registers;
  // THREAD_SIZE and IRQ_STACK_SIZE; KASAN's stacks are larger.
  std::uint64_t task_stack_bytes = 0;
  std::uint64_t irq_stack_bytes = 0;

  // What VMCOREINFO tells of the kernel: phys_base where it does, and the page tables.
  std::optional<std::int64_t> (*phys_base)(const Vmcoreinfo& info) = nullptr;
  Result<PageTables> (*kernel_page_tables)(const PhysicalMemory& memory, const Vmcoreinfo& info,
                                           std::int64_t phys_base) = nullptr;
  // Whether memory proves that the kernel with these page tables booted last. False where memory
  // does not tell.
  bool (*booted_last)(const PageTables& tables, const PhysicalMemory& memory) = nullptr;

  // The physical address of an address of the kernel image; wraps where phys_base is nonsense.
  constexpr PhysAddr image_to_physical(VirtAddr address, std::int64_t base) const {
    return {address - kernel_map + static_cast<std::uint64_t>(base)};
  }
};

// The first row for Arch::unknown.
const Architecture& architecture_of(const Machine& machine);

}  // namespace vmcore::kernel
