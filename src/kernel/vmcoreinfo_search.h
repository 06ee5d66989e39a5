// SPDX-License-Identifier: GPL-2.0-or-later
// Searches guest memory for the text of VMCOREINFO. A text that is found is a claim, to be
// validated.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/kernel/cpu_anchors.h"
#include "src/kernel/vmcoreinfo.h"

namespace vmcore::kernel {

// More texts than that are not looked at: a guest may have filled its memory with them.
inline constexpr std::size_t kMaxFoundTexts = 64;

struct FoundText {
  Vmcoreinfo info;
  PhysAddr address;
};

// The texts that a kernel image holds (before v4.13) or points to: vmcoreinfo_data is a pointer to
// a page of its own since v4.13 (203e9e41219b). Reads the image, some 30 to 60 MiB.
Result<std::vector<FoundText>> search_kernel_image(const PhysicalMemory& memory,
                                                   const KernelAnchor& anchor);

// Calls take(text, address) for each text at the beginning of a page, anywhere in memory, until it
// returns true. Reads all of what is before, or touches each page where the memory can be viewed.
Result<> search_memory(const PhysicalMemory& memory,
                       const std::function<bool(const Vmcoreinfo&, PhysAddr)>& take);

// The text at that address, where there is one.
Result<std::optional<Vmcoreinfo>> vmcoreinfo_at(const PhysicalMemory& memory, PhysAddr address);

}  // namespace vmcore::kernel
