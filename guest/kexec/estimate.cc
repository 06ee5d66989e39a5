// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/estimate.h"

namespace vmcore::guest::kexec {
namespace {

constexpr std::uint64_t kMiB = 1U << 20;
// Measured with one CPU, virtio and an image of 1.4 MiB: Debian's generic kernel 6.1
// (init_size 63.6 MiB) reads all of /proc/vmcore in 88 MiB and runs out of memory in 84, its cloud
// kernel (51.5 MiB) in 72 and 68.
constexpr std::uint64_t kRunning = 24 * kMiB;
// The image is in memory twice while it is unpacked.
constexpr std::uint64_t kImageCopies = 2;
// For other devices and later kernels.
constexpr std::uint64_t kSpare = 28 * kMiB;
constexpr std::uint64_t kStep = 16 * kMiB;

std::uint64_t round_up(std::uint64_t size) { return (size + kStep - 1) / kStep * kStep; }

double mebibytes(std::uint64_t size) { return static_cast<double>(size) / kMiB; }

}  // namespace

Need need_of(const KernelImage& kernel, std::uint64_t image_size) {
  Need need{.kernel = kernel.init_size, .image = image_size, .minimum = 0, .recommended = 0};
  need.minimum = need.kernel + kImageCopies * need.image + kRunning;
  need.recommended = round_up(need.minimum + kSpare);
  return need;
}

std::string crashkernel_word(const Need& need) {
  return fmt::format("crashkernel={}M", need.recommended / kMiB);
}

std::string explain(const Need& need) {
  return fmt::format(
      "{:.1f} MiB for the kernel (its init_size) + {} x {:.1f} MiB for the capture image (packed "
      "and unpacked) + {} MiB to run = {:.1f} MiB at least; with {} MiB to spare, rounded up to a "
      "multiple of {}: {} MiB",
      mebibytes(need.kernel), kImageCopies, mebibytes(need.image), kRunning / kMiB,
      mebibytes(need.minimum), kSpare / kMiB, kStep / kMiB, need.recommended / kMiB);
}

}  // namespace vmcore::guest::kexec
