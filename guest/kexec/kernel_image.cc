// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/kernel_image.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "guest/kexec/unified_image.h"
#include "src/base/little_endian.h"
#include "src/base/sys.h"

namespace vmcore::guest::kexec {
namespace {

// Offsets of fields of the setup header in the file, and the protocol version that has all of them
// (2.12, Linux 3.8).
constexpr std::size_t kMagic = 0x202;
constexpr std::size_t kProtocol = 0x206;
constexpr std::size_t kVersion = 0x20e;  // offset of the text minus kVersionBase; 0: none
constexpr std::size_t kVersionBase = 0x200;
constexpr std::size_t kLoadFlags = 0x236;
constexpr std::size_t kCommandLineSize = 0x238;
constexpr std::size_t kInitSize = 0x260;
constexpr std::uint32_t kMagicValue = 0x53726448;  // "HdrS"
constexpr std::uint16_t kProtocolWanted = 0x020c;
constexpr std::uint16_t kKernel64 = 1;  // XLF_KERNEL_64
constexpr std::size_t kMostVersion = 256;

std::string text_at(std::span<const std::byte> bytes, std::size_t offset) {
  std::string text;
  for (; offset < bytes.size() && text.size() < kMostVersion; ++offset) {
    const char c = static_cast<char>(bytes[offset]);
    if (c < ' ' || c > '~') {
      break;
    }
    text += c;
  }
  return text;
}

bool is_efi_program(std::span<const std::byte> start) {
  return start.size() > 2 && start[0] == std::byte{'M'} && start[1] == std::byte{'Z'};
}

Result<std::vector<std::byte>> read_start(int file, std::uint64_t offset) {
  std::vector<std::byte> start(kKernelHeader);
  TRY_ASSIGN(const std::size_t got, sys::pread_full(file, start, offset));
  start.resize(got);
  return start;
}

Result<KernelImage> read_image_in(int file) {
  TRY_ASSIGN(std::vector<std::byte> start, read_start(file, 0));
  const auto inside = find_linux(start);
  if (inside) {
    TRY_ASSIGN(start, read_start(file, inside->offset));
  }
  TRY_ASSIGN(KernelImage image, parse_kernel_image(start));
  image.unified = inside.has_value();
  return image;
}

bool is_kernel_of(const root::Root& root, const std::string& path, std::string_view release) {
  const auto image = read_kernel_image(root, path);
  return image && image->release() == release;
}

std::vector<std::string> names_in(const root::Root& root, std::string_view folder) {
  return root.list(folder).value_or(std::vector<std::string>());
}

}  // namespace

std::string_view KernelImage::release() const {
  return std::string_view(version).substr(0, version.find(' '));
}

Result<KernelImage> parse_kernel_image(std::span<const std::byte> start) {
  const auto magic = load<ul32>(start, kMagic);
  if (!magic || *magic != kMagicValue) {
    return fail(Errc::not_recognised, "{}",
                is_efi_program(start)
                    ? "an EFI program without a .linux section: name a kernel with --kernel-image"
                    : "not a bzImage");
  }
  const auto protocol = load<ul16>(start, kProtocol);
  const auto version = load<ul16>(start, kVersion);
  const auto flags = load<ul16>(start, kLoadFlags);
  const auto command_line_size = load<ul32>(start, kCommandLineSize);
  const auto init_size = load<ul32>(start, kInitSize);
  if (!protocol || !version || !flags || !command_line_size || !init_size) {
    return fail(Errc::truncated, "the file ends inside its setup header");
  }
  if (*protocol < kProtocolWanted || (*flags & kKernel64) == 0) {
    return fail(Errc::unsupported,
                "boot protocol {}.{:02}: only 64-bit kernels of Linux 3.8 and later are supported",
                *protocol >> 8, *protocol & 0xff);
  }
  return KernelImage{.init_size = *init_size,
                     .command_line_limit = *command_line_size,
                     .version = *version == 0 ? "" : text_at(start, kVersionBase + *version)};
}

Result<KernelImage> read_kernel_image(const root::Root& root, std::string_view path) {
  TRY_ASSIGN(const Fd file, root.open(path, O_RDONLY));
  auto image = read_image_in(file.get());
  return image ? std::move(image) : in_context(std::move(image).error(), path);
}

Result<std::string> find_kernel_image(const root::Root& root, std::string_view release) {
  const std::vector<std::string> named = {
      fmt::format("/boot/vmlinuz-{}", release), fmt::format("/lib/modules/{}/vmlinuz", release),
      fmt::format("/usr/lib/modules/{}/vmlinuz", release), "/run/booted-system/kernel"};  // NixOS
  for (const std::string& path : named) {
    if (is_kernel_of(root, path, release)) {
      return path;
    }
  }
  // Files named by flavour (Alpine, Arch), or in one folder per release (kernel-install of
  // systemd); unified images where systemd-boot searches, and where packages install them (Fedora).
  for (const std::string& folder :
       {std::string("/boot"), std::string("/efi"), std::string("/boot/efi"),
        std::string("/boot/EFI/Linux"), std::string("/efi/EFI/Linux"),
        std::string("/boot/efi/EFI/Linux"), fmt::format("/usr/lib/modules/{}", release)}) {
    for (const std::string& name : names_in(root, folder)) {
      for (const std::string& path : {fmt::format("{}/{}", folder, name),
                                      fmt::format("{}/{}/{}/linux", folder, name, release)}) {
        if (is_kernel_of(root, path, release)) {
          return path;
        }
      }
    }
  }
  return fail(Errc::not_found,
              "no image of kernel {} in /boot, /efi, /lib/modules/{}: name it with --kernel-image",
              release, release);
}

std::string find_boot_initrd(const root::Root& root, std::string_view release) {
  for (const std::string& path :
       {fmt::format("/boot/initrd.img-{}", release),     // Debian
        fmt::format("/boot/initramfs-{}.img", release),  // Fedora
        fmt::format("/boot/initrd-{}", release),         // openSUSE
        std::string("/run/booted-system/initrd"),        // NixOS
        // Named by flavour: "6.6.100-0-virt" is Alpine's initramfs-virt.
        fmt::format("/boot/initramfs-{}", release.substr(release.rfind('-') + 1))}) {
    if (root.exists(path)) {
      return path;
    }
  }
  return "";
}

}  // namespace vmcore::guest::kexec
