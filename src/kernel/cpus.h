// SPDX-License-Identifier: GPL-2.0-or-later
// The vCPUs of an image as Linux numbers its CPUs.
//
// QEMU's notes are in the order in which the vCPUs were made; crash and drgn take the n-th
// NT_PRSTATUS for Linux's n-th CPU.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {

struct CpuOrder {
  // Position i is the position in `cpus` of the vCPU that is Linux CPU i. A permutation: vCPUs
  // that Linux does not use, or that cannot be told, fill the free positions in the given order.
  std::vector<unsigned> order;
  // The number of the Linux CPU that each vCPU is, in the order given; nothing if it is not known.
  std::vector<std::optional<unsigned>> numbers;
  std::vector<Remark> remarks;
};

// __per_cpu_offset[] of all CPUs that Linux may have: what is added to the address of a per-CPU
// variable's symbol. Errc::not_found where the kernel has none.
Result<std::vector<std::uint64_t>> read_per_cpu_offsets(const GuestKernel& kernel,
                                                        const Kallsyms& kallsyms);

// A CPU in __cpu_possible_mask (v4.5, 4b804c85dc37). Others have no per-CPU data.
struct PossibleCpu {
  unsigned number = 0;
  std::uint64_t per_cpu_offset = 0;
};
Result<std::vector<PossibleCpu>> read_possible_cpus(const GuestKernel& kernel,
                                                    const Kallsyms& kallsyms);

// The CPUs whose registers the crashed kernel has saved (crash_notes), ascending: /proc/vmcore has
// an NT_PRSTATUS of each, in this order, and none of a CPU that was offline.
Result<std::vector<unsigned>> cpus_with_crash_notes(const GuestKernel& kernel,
                                                    const Kallsyms& kallsyms);

// Matches the base of per-CPU data that each vCPU has in the kernel with __per_cpu_offset[] (on
// x86-64 the value of GS both with a zero-based per-CPU section and since v6.15, 9d7de2aa8b41,
// without). Where that cannot be, the order given, and a Remark.
CpuOrder linux_cpu_order(const GuestKernel& kernel, const Kallsyms& kallsyms,
                         std::span<const CpuState> cpus);

struct CpuCounts {
  unsigned possible = 0;
  unsigned online = 0;  // panic() has taken the stopped ones off
};

// Counts the bits of __cpu_possible_mask and __cpu_online_mask (v4.5, 4b804c85dc37).
Result<CpuCounts> read_cpu_counts(const GuestKernel& kernel, const Kallsyms& kallsyms);

}  // namespace vmcore::kernel
