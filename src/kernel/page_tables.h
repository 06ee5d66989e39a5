// SPDX-License-Identifier: GPL-2.0-or-later
// PageTables: virtual to physical by the guest's own page tables.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/memory.h"

namespace vmcore::kernel {

struct Architecture;

// Where a virtual address lies, and how many bytes from there on are mapped contiguously.
struct Mapping {
  PhysAddr address;
  std::uint64_t size = 0;  // bytes up to the end of the page
};

class PageTables {
 public:
  // `root` is the physical address of the top table. `encryption_mask` are bits of entries that
  // mark encrypted memory and are no part of an address (SME, SEV). `arch` and `memory` are
  // borrowed.
  PageTables(const Architecture& arch, const PhysicalMemory& memory, PhysAddr root, unsigned levels,
             std::uint64_t encryption_mask)
      : arch_(&arch),
        memory_(&memory),
        root_{root.value & ~encryption_mask},
        levels_(levels),
        encryption_mask_(encryption_mask) {}

  // Thread-safe. Errc::not_found where nothing is mapped or the address is not canonical,
  // Errc::unreadable where a table is not in the image, Errc::malformed where an entry points
  // beyond kMaxPhysAddr.
  // `way`, which may be null, gets the tables that were read, the top one first.
  Result<Mapping> translate(VirtAddr address, std::vector<PhysAddr>* way = nullptr) const;

  // The same tables, read from `memory`.
  PageTables in(const PhysicalMemory& memory) const {
    return {*arch_, memory, root_, levels_, encryption_mask_};
  }

  // Tables of the same machine with another root.
  PageTables at(PhysAddr root, unsigned levels) const {
    return {*arch_, *memory_, root, levels, encryption_mask_};
  }

  const Architecture& arch() const { return *arch_; }
  const PhysicalMemory& memory() const { return *memory_; }
  PhysAddr root() const { return root_; }
  unsigned levels() const { return levels_; }
  std::uint64_t encryption_mask() const { return encryption_mask_; }

 private:
  const Architecture* arch_;
  const PhysicalMemory* memory_;
  PhysAddr root_;
  unsigned levels_;
  std::uint64_t encryption_mask_;
};

}  // namespace vmcore::kernel
