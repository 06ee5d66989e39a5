// SPDX-License-Identifier: GPL-2.0-or-later
// What happened to a guest: the report of its memory and registers, without a debug package.
#pragma once

#include "src/image/image.h"
#include "src/kernel/guest_kernel.h"
#include "src/report/panic_stack.h"
#include "src/report/triage.h"

namespace vmcore::triage {

struct TriageOptions {
  bool live = false;  // the registers are those that QEMU's monitor told of a guest not paused
  std::optional<report::PanicStack>* panic_stack = nullptr;  // filled in, where that is known
};

// Fills in all that memory tells: kernel, panic, CPUs, tasks, log and so on. `kernel` is one of
// `image`. Time and memory are bounded whatever the guest wrote. Each section that cannot be had
// says why.
report::TriageReport triage(const MemoryImage& image, const kernel::GuestKernel& kernel,
                            const TriageOptions& options);

}  // namespace vmcore::triage
