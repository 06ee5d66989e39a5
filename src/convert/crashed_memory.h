// SPDX-License-Identifier: GPL-2.0-or-later
// The memory of a crashed kernel, within the memory of the whole guest.
#pragma once

#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/kernel/elfcorehdr.h"

namespace vmcore::convert {

// The RAM of a core header; everything else is absent. Memory that was saved elsewhere appears at
// its own address.
class CrashedMemory final : public PhysicalMemory {
 public:
  // `loads`: sorted, disjoint, as those of a CoreHeader. `whole` is borrowed.
  CrashedMemory(const PhysicalMemory& whole, std::vector<kernel::CoreLoad> loads);

  Extent extent(PhysAddr address) const override;
  Extent outline(PhysAddr address) const override;
  Presence presence(PhysAddr address) const override;
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override;
  std::span<const std::byte> view(PhysRange range) const override;

 private:
  // The load that holds the address; null where none does.
  const kernel::CoreLoad* find(PhysAddr address) const;
  Extent absent(PhysAddr address) const;

  const PhysicalMemory* whole_;
  std::vector<kernel::CoreLoad> loads_;
};

}  // namespace vmcore::convert
