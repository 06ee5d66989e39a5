// SPDX-License-Identifier: GPL-2.0-or-later
// How much memory a capture kernel needs.
#pragma once

#include <cstdint>
#include <string>

#include "guest/kexec/kernel_image.h"

namespace vmcore::guest::kexec {

struct Need {
  std::uint64_t kernel;       // bytes: init_size of the kernel
  std::uint64_t image;        // the capture image
  std::uint64_t minimum;      // with less, it is likely to run out of memory
  std::uint64_t recommended;  // a multiple of 16 MiB, for the command line
};

// Does not depend on the memory of the guest, because the capture kernel plans a dump in windows.
Need need_of(const KernelImage& kernel, std::uint64_t image_size);

// "crashkernel=128M"
std::string crashkernel_word(const Need& need);
// How the numbers are made up, as a sentence.
std::string explain(const Need& need);

}  // namespace vmcore::guest::kexec
