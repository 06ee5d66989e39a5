// SPDX-License-Identifier: GPL-2.0-or-later
// KernelImage: the header of a bzImage (Documentation/arch/x86/boot.rst).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

struct KernelImage {
  std::uint64_t init_size = 0;           // bytes that the kernel needs before it runs
  std::uint64_t command_line_limit = 0;  // bytes, without the final NUL
  std::string version;                   // "6.1.0-56-amd64 (debian-kernel@...) #1 SMP ..."
  bool unified = false;                  // it is inside a unified image, which also has its initrd
  // The first word of the version, as uname -r prints it.
  std::string_view release() const;
};

// The header is within the first kKernelHeader bytes. Errc::not_recognised if it is not a bzImage,
// Errc::unsupported if it is too old (before Linux 3.8).
inline constexpr std::size_t kKernelHeader = 64U << 10;
Result<KernelImage> parse_kernel_image(std::span<const std::byte> start);
// Reads a bzImage, or the one inside a unified kernel image.
Result<KernelImage> read_kernel_image(const root::Root& root, std::string_view path);

// The path of the image of a release, in the places that distributions use. Errc::not_found lists
// the places.
Result<std::string> find_kernel_image(const root::Root& root, std::string_view release);
// The path of the initrd of that kernel, for a reboot; empty if there is none.
std::string find_boot_initrd(const root::Root& root, std::string_view release);

}  // namespace vmcore::guest::kexec
