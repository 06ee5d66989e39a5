// The kernel that a dump is of.
//
// A guest that crashed into a capture kernel (kdump) which then hangs holds two kernels: the CPUs
// run the capture kernel, in memory that was reserved for it; the crashed one is around it. The
// dump is of the crashed one, and has what /proc/vmcore would have held: its memory by the ELF core
// header that it left, and the registers that its CPUs saved while it died.
#pragma once

#include <memory>
#include <optional>

#include "src/base/result.h"
#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::convert {

struct Subject {
  kernel::FoundKernels found;  // of image()
  // What /proc/vmcore would have held; null where no capture kernel has taken over. Borrows the
  // memory of `whole`.
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
// find_kernels().
// A capture kernel that is merely loaded changes nothing: it has taken over where a CPU is outside
// the crashed kernel's memory and that kernel has saved registers and the time of its crash. Where
// the image tells CR3, a vCPU has to run one of the two.
Result<Subject> find_subject(const MemoryImage& image, kernel::Search search,
                             const kernel::FoundKernels* before = nullptr,
                             const std::optional<InfoPlace>& hint = {});

}  // namespace vmcore::convert
