// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/capture_kernel.h"

#include "src/base/little_endian.h"
#include "src/kernel/kallsyms.h"

namespace vmcore::kernel {
namespace {

// struct resource begins with its first and its last address (include/linux/ioport.h, v6.12; since
// v2.6.18). One that is not used is all zeros.
struct Resource {
  ul64 start;
  ul64 end;
};

Result<PhysRange> region_of(const Resource& resource) {
  const std::uint64_t start = resource.start;
  const std::uint64_t end = resource.end;
  if (end == 0) {
    return PhysRange{};
  }
  if (start > end || end >= kMaxPhysAddr) {
    return fail(Errc::malformed,
                "the memory reserved for the capture kernel, {:#x} to {:#x}, is not plausible",
                start, end);
  }
  return PhysRange{{start}, end - start + 1};
}

}  // namespace

// kernel/kexec_core.c and kernel/crash_reserve.c, v6.12: `kexec_crash_image` points to what is
// loaded, `crashk_res` is the region.
Result<CaptureKernel> read_capture_kernel(const GuestKernel& kernel) {
  if (kernel.kallsyms() == nullptr) {
    return fail(Errc::not_found, "the kernel's symbols are not known");
  }
  const auto symbols = kernel.kallsyms()->find({"kexec_crash_image", "crashk_res"});
  if (!symbols[0] || !symbols[1]) {
    return fail(Errc::not_found, "the kernel was built without kexec");
  }
  TRY_ASSIGN(const auto image, kernel.read_value<ul64>(*symbols[0]));
  TRY_ASSIGN(const auto resource, kernel.read_value<Resource>(*symbols[1]));
  CaptureKernel panic;
  panic.loaded = image != 0;
  TRY_ASSIGN(panic.region, region_of(resource));
  return panic;
}

// kernel/panic.c: the number of the CPU that panics, from the beginning of panic() on; before, -1
// (PANIC_CPU_INVALID). Since v4.5 ("panic, x86: Fix re-entrance problem due to panic on NMI").
Result<bool> has_panicked(const GuestKernel& kernel) {
  if (kernel.kallsyms() == nullptr) {
    return fail(Errc::not_found, "the kernel's symbols are not known");
  }
  const auto symbols = kernel.kallsyms()->find({"panic_cpu"});
  if (!symbols[0]) {
    return fail(Errc::not_found, "the kernel has no symbols for its variables");
  }
  TRY_ASSIGN(const auto cpu, kernel.read_value<ul32>(*symbols[0]));
  constexpr std::uint32_t kNone = ~0U;
  return cpu != kNone;
}

}  // namespace vmcore::kernel
