// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel that a dump is of.
//
// A guest that crashed into a capture kernel (kdump) which then hangs holds two kernels: the CPUs
// run the capture kernel, in memory that was reserved for it; the crashed kernel is around it. The
// dump is of the crashed kernel, and has what /proc/vmcore would have had: its memory by the ELF
// core header that it left, and the registers that its CPUs saved while it died.
#pragma once

#include <memory>
#include <optional>

#include "src/base/result.h"
#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct Subject {
  kernel::FoundKernels found;  // of image()
  // The image that /proc/vmcore would have been; null if no capture kernel has taken over. Borrows
  // the memory of `whole`.
  std::shared_ptr<const MemoryImage> crashed;
  const MemoryImage* whole = nullptr;

  const MemoryImage& image() const { return crashed ? *crashed : *whole; }
  // For the next look at the same guest (kernel::place_of).
  std::optional<InfoPlace> place() const {
    return crashed ? std::nullopt : kernel::place_of(found);
  }
  const kernel::GuestKernel* kernel() const {
    return found.kernels.empty() ? nullptr : &found.kernels.front();
  }
};

// Finds the kernels of the image, which must outlive the result; `before` and `hint` as for
// find_kernels(). A capture kernel that is only loaded changes nothing: it has taken over if a CPU
// is outside the crashed kernel's memory and that kernel has saved registers and the time of its
// crash. If the image has CR3, a vCPU must run one of the two kernels.
Result<Subject> find_subject(const MemoryImage& image, kernel::Search search,
                             const kernel::FoundKernels* before = nullptr,
                             const std::optional<InfoPlace>& hint = {});

}  // namespace vmcore::convert
