// SPDX-License-Identifier: GPL-2.0-or-later
// The BTF of a kernel of GuestBuilder: the types that its VMCOREINFO tells of, with the same
// numbers, and those of the per-CPU lists as that release has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/builders/kernel_layouts.h"

namespace vmcore::testing {

// Where GuestBuilder's kernels have their per-CPU lists.
struct PerCpuLists {
  std::uint64_t in_zone = 104;  // the pointer, in struct zone
  std::uint64_t count_at = 0;   // from where it leads to
  std::uint64_t lists_at = 0;   // the same
  std::uint64_t lists = 0;
  unsigned order(std::uint64_t list) const {
    return list / 3 > 3 ? 9 : static_cast<unsigned>(list / 3);
  }
};

PerCpuLists per_cpu_lists(const KernelLayout& layout);
std::vector<std::byte> build_types(const KernelLayout& layout);

}  // namespace vmcore::testing
