// SPDX-License-Identifier: GPL-2.0-or-later
// Rehearsal: a trial of the dump while the guest still runs, so that its pause is shorter:
// which kernel it has, how much of its memory will be kept, and room for that.
//
// In the pause everything in the rehearsal is checked: the kernel is validated again, the plan is
// made again, and pages that only the new plan keeps are read as well.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <stop_token>

#include "src/base/result.h"
#include "src/convert/convert.h"
#include "src/image/image.h"
#include "src/image/page_set.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct Rehearsal {
  kernel::FoundKernels kernels;
  PageSet pages;  // that were kept by the struct pages as they were, and were not holes
  std::uint64_t kept_pages = 0;       // with holes
  bool without_poison = false;        // every page was judged, and none is poisoned
  std::chrono::microseconds pause{};  // for how long the guest will probably stand still
};

// Reads the guest as the dump will, into the room that the dump will use, and discards the data.
// The image must outlive the rehearsal.
Result<Rehearsal> make_rehearsal(const MemoryImage& image, const ConvertOptions& options,
                                 std::span<std::byte> room, std::stop_token stop);

// The pages that hold struct pages, nearly all of them: the others are read when they are needed.
// None where `kernel` is null.
PageSet pages_of_memmap(const PhysicalMemory& memory, const kernel::GuestKernel* kernel);

}  // namespace vmcore::convert
