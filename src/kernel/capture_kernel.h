// SPDX-License-Identifier: GPL-2.0-or-later
// The capture kernel: the one that kexec keeps loaded to take over when this kernel crashes.
#pragma once

#include <optional>

#include "src/base/address.h"
#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

struct CaptureKernel {
  PhysRange region;     // that crashkernel= reserved; empty where nothing is
  bool loaded = false;  // the guest is armed
};

// Errc::not_found for a kernel whose symbols are not known, or that was built without
// kexec.
Result<CaptureKernel> read_capture_kernel(const GuestKernel& kernel);

// Whether the kernel is in its panic, with a capture kernel or without. Errc::not_found for a
// kernel whose symbols are not known, or are those of functions only.
Result<bool> has_panicked(const GuestKernel& kernel);

}  // namespace vmcore::kernel
