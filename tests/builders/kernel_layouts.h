// SPDX-License-Identifier: GPL-2.0-or-later
// The kernels that GuestBuilder can build: what their VMCOREINFO says of struct page.
#pragma once

#include <string_view>

namespace vmcore::testing {

// How a compound page tells its order and that it is hugetlbfs's.
enum class CompoundStyle {
  tail_bytes,   // compound_order, compound_dtor in the first tail page (v4.4 to v6.2)
  folio_flags,  // the low byte of the first tail's flags; PG_hugetlb there (v6.6 to v6.8)
  page_type,    // the order as above; hugetlb is a type in the head's _mapcount (v6.9)
};

struct KernelLayout {
  std::string_view name;
  std::string_view release;
  // Lines that do not depend on addresses, as that kernel exports them.
  std::string_view lines;
  CompoundStyle compound = CompoundStyle::tail_bytes;
  bool mask_in_tail =
      false;  // compound_info holds a mask, not a pointer (v7.1, with HugeTLB vmemmap optimisation)
  bool log_ring = true;  // printk_ringbuffer (v5.10), else records in log_buf
  bool kallsyms = true;  // exported (v6.0)
  // KallsymsStyle's.
  bool offsets_first = true;
  bool place_relative = false;
};

// Null where there is none of that name.
const KernelLayout* find_layout(std::string_view name);

}  // namespace vmcore::testing
