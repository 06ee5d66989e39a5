// KernelImage: what a bzImage's header tells of the kernel in it
// (Documentation/arch/x86/boot.rst).
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
  std::uint64_t init_size = 0;           // bytes that the kernel takes before it runs
  std::uint64_t command_line_limit = 0;  // bytes, without the final NUL
  std::string version;                   // "6.1.0-56-amd64 (debian-kernel@...) #1 SMP ..."
  bool unified = false;                  // it lies in a unified image, its initrd beside it
  // As uname -r says it: the version's first word.
  std::string_view release() const;
};

// The header lies within the first kKernelHeader bytes. Errc::not_recognised for what is no
// bzImage, Errc::unsupported for one that is too old (before Linux 3.8).
inline constexpr std::size_t kKernelHeader = 64U << 10;
Result<KernelImage> parse_kernel_image(std::span<const std::byte> start);
// Of a bzImage, or of that in a unified kernel image.
Result<KernelImage> read_kernel_image(const root::Root& root, std::string_view path);

// The image of a release, where distributions keep it. Errc::not_found tells where it was looked
// for.
Result<std::string> find_kernel_image(const root::Root& root, std::string_view release);
// The initrd that belongs to it, for a reboot; empty where there is none.
std::string find_boot_initrd(const root::Root& root, std::string_view release);

}  // namespace vmcore::guest::kexec
