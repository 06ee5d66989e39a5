// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/kernel_image.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/guest/bz_image.h"
#include "tests/unit/guest/folder.h"
#include "tests/unit/guest/unified.h"

namespace vmcore::guest::kexec {
namespace {

TEST(KernelImage, IsFoundWhereThereAreOnlyUnifiedImages) {
  const std::string linux = text_of(Header().bytes);
  for (const std::string& path :
       {std::string("/efi/EFI/Linux/debian.efi"), std::string("/boot/EFI/Linux/1-6.1.efi"),
        std::string("/usr/lib/modules/6.1.0-56-amd64/vmlinuz-virt.efi")}) {
    const Folder folder;
    folder.write("/efi/EFI/Linux/another.efi", unified_image("no kernel"));
    folder.write(path, unified_image(linux));
    EXPECT_EQ(find_kernel_image(folder.root(), "6.1.0-56-amd64"), path);
    const auto image = read_kernel_image(folder.root(), path);
    EXPECT_TRUE(image->unified);
    EXPECT_EQ(image->init_size, 0x3f98000U);
  }
  const Folder folder;
  folder.write("/boot/vmlinuz-6.1.0-56-amd64", linux);
  EXPECT_FALSE(read_kernel_image(folder.root(), "/boot/vmlinuz-6.1.0-56-amd64")->unified);
}

TEST(KernelImage, TheHeaderIsRead) {
  const auto image = parse_kernel_image(Header().bytes);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->init_size, 0x3f98000U);
  EXPECT_EQ(image->command_line_limit, 2047U);
  EXPECT_EQ(image->version, "6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP");
  EXPECT_EQ(image->release(), "6.1.0-56-amd64");
}

TEST(KernelImage, AnEndAnywhereIsNoCrash) {
  const std::vector<std::byte> whole = Header().bytes;
  for (std::size_t size = 0; size < 0x600; ++size) {
    // Of its own, so that a sanitizer sees what is read behind it.
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto image = parse_kernel_image(part);
    if (size < 0x206) {
      EXPECT_EQ(image.error().code, Errc::not_recognised) << size;
    } else if (size < 0x264) {
      EXPECT_EQ(image.error().code, Errc::truncated) << size;
    } else {
      EXPECT_TRUE(image) << size;
    }
  }
}

TEST(KernelImage, AVersionOutsideOfTheFileIsEmpty) {
  Header header;
  header.put<std::uint16_t>(0x20e, 0xffff);
  EXPECT_EQ(parse_kernel_image(header.bytes)->version, "");
  header.put<std::uint16_t>(0x20e, 0);
  EXPECT_EQ(parse_kernel_image(header.bytes)->version, "");
}

TEST(KernelImage, AVersionIsText) {
  Header header;
  header.put<std::uint8_t>(0x503, 0x1b);
  EXPECT_EQ(parse_kernel_image(header.bytes)->version, "6.1");
  std::memset(&header.bytes.at(0x500), 'a', 0xb00);
  EXPECT_EQ(parse_kernel_image(header.bytes)->version, std::string(256, 'a'));
}

TEST(KernelImage, OtherFilesAreTold) {
  Header old;
  old.put<std::uint16_t>(0x206, 0x20a);
  EXPECT_EQ(parse_kernel_image(old.bytes).error().code, Errc::unsupported);
  Header narrow;
  narrow.put<std::uint16_t>(0x236, 0x7e);  // no XLF_KERNEL_64
  EXPECT_EQ(parse_kernel_image(narrow.bytes).error().code, Errc::unsupported);
  Header other;
  other.text(0, "MZ");
  other.text(0x202, "----");
  const auto error = parse_kernel_image(other.bytes).error();
  EXPECT_EQ(error.code, Errc::not_recognised);
  EXPECT_NE(error.message.find("without a .linux section"), std::string::npos);
}

}  // namespace
}  // namespace vmcore::guest::kexec
