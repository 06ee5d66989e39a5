// PageTables: virtual to physical by the guest's own page tables. x86-64, 4 and 5 levels.
#pragma once

#include <cstdint>
#include <vector>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/image/memory.h"

namespace vmcore::kernel {

// Where a virtual address lies, and how many bytes from there on are mapped contiguously.
struct Mapping {
  PhysAddr address;
  std::uint64_t size = 0;  // bytes up to the end of the page: 4 KiB, 2 MiB or 1 GiB
};

class PageTables {
 public:
  // `root` is the physical address of the top table (bits that are no address masked off),
  // `memory_encryption_mask` is SME's or SEV's bit, cleared from every entry. `memory` is borrowed.
  PageTables(const PhysicalMemory& memory, PhysAddr root, bool five_levels,
             std::uint64_t memory_encryption_mask);

  // Thread-safe. Errc::not_found where nothing is mapped or the address is not canonical,
  // Errc::unreadable where a table is not in the image, Errc::malformed where an entry points
  // beyond kMaxPhysAddr.
  // `way`, which may be null, gets the tables that were read, the top one first.
  Result<Mapping> translate(VirtAddr address, std::vector<PhysAddr>* way = nullptr) const;

  // The same tables, read from `memory`.
  PageTables in(const PhysicalMemory& memory) const {
    return {memory, root_, five_levels_, memory_encryption_mask_};
  }

  // Tables of the same machine with another root.
  PageTables at(PhysAddr root, bool five_levels) const {
    return {*memory_, root, five_levels, memory_encryption_mask_};
  }

  PhysAddr root() const { return root_; }
  bool five_levels() const { return five_levels_; }

 private:
  const PhysicalMemory* memory_;
  PhysAddr root_;
  bool five_levels_;
  std::uint64_t memory_encryption_mask_;
};

}  // namespace vmcore::kernel
