// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/early_copy.h"

#include <gmock/gmock.h>

#include "guest/image/capture_image.h"
#include "guest/root/read_config.h"
#include "tests/unit/guest/bz_image.h"
#include "tests/unit/guest/folder_root.h"
#include "tests/unit/guest/unified.h"

namespace vmcore::guest::kexec {
namespace {

using ::testing::HasSubstr;

constexpr const char* kRelease = "6.1.0-56-amd64";
constexpr const char* kKernel = "/boot/vmlinuz-6.1.0-56-amd64";
constexpr const char* kImage = "/var/lib/vmcore-guest/capture-6.1.0-56-amd64.img";
constexpr const char* kRecord = "/var/lib/vmcore-guest/early-6.1.0-56-amd64";
constexpr const char* kCopy = "/tmp/initramfs/usr/lib/vmcore-guest/";

// A guest whose capture image is up to date, and the folder of an initramfs in it.
class EarlyCopyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root.write(kKernel, text_of(Header().bytes));
    root.write(std::string("/lib/modules/") + kRelease + "/modules.dep", "");
    root.write(std::string("/lib/modules/") + kRelease + "/modules.builtin",
               "kernel/drivers/virtio/virtio_pci.ko\nkernel/drivers/char/virtio_console.ko\n");
    root.write("/etc/vmcore-guest.conf", "target = port\n");
    const root::Root opened = root.root();
    image = image::make_capture_image(opened, {.release = kRelease,
                                               .init = "the program",
                                               .config = root::read_config(opened).value()})
                ->bytes;
    root.write(kImage, image);
    root.write("/tmp/initramfs/x", "");
    root.write("/run/x", "");
  }

  FolderRoot root;
  std::string image;
};

TEST_F(EarlyCopyTest, HasAllThatALoadNeeds) {
  const auto made = make_early_copy(root.root(), kRelease, "/tmp/initramfs");
  ASSERT_TRUE(made) << made.error().message;
  const std::string copy(kCopy);
  EXPECT_EQ(root.read(copy + "kernel"), text_of(Header().bytes));
  EXPECT_EQ(root.read(copy + "image"), image);
  const std::string program = root.read(copy + "vmcore-guest");
  EXPECT_TRUE(
      program.starts_with("\x7f"
                          "ELF"));
  const EarlyCopy expected{.kernel = kKernel,
                           .image = kImage,
                           .sum = image::image_sum(image),
                           .size = root.read(kKernel).size() + image.size() + program.size()};
  EXPECT_EQ(expected.sum.size(), 64U);
  EXPECT_EQ(parse_early_copy(root.read(copy + "copy.json")), expected);
  EXPECT_EQ(read_early_copy(root.root(), kRelease), expected);
  EXPECT_EQ(read_early_copy(root.root(), "6.2"), std::nullopt);
}

TEST_F(EarlyCopyTest, OfAUnifiedImageThereIsNone) {
  std::filesystem::remove(root.at(kKernel));
  root.write("/efi/EFI/Linux/debian.efi", unified_image(text_of(Header().bytes)));
  const auto made = make_early_copy(root.root(), kRelease, "/tmp/initramfs");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::unsupported);
  EXPECT_FALSE(root.exists(kRecord));
}

// Other users may read an initramfs.
TEST_F(EarlyCopyTest, AKeyOfSshIsNotCopied) {
  root.write("/etc/vmcore-guest.conf", "target = port\ntarget = ssh:me@192.0.2.1\n");
  const auto made = make_early_copy(root.root(), kRelease, "/tmp/initramfs");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::denied);
  EXPECT_FALSE(root.exists(std::string(kCopy) + "image"));
}

// The hook runs before the initramfs is written; one that was not written since has an older copy.
TEST_F(EarlyCopyTest, AnInitramfsThatIsOlderHasItNot) {
  ASSERT_TRUE(make_early_copy(root.root(), kRelease, "/tmp/initramfs"));
  root.write("/boot/initrd", "");
  const auto time = std::filesystem::last_write_time(root.at(kRecord));
  std::filesystem::last_write_time(root.at("/boot/initrd"), time + std::chrono::seconds(1));
  EXPECT_TRUE(is_in_initrd(root.root(), kRelease, "/boot/initrd"));
  std::filesystem::last_write_time(root.at("/boot/initrd"), time - std::chrono::seconds(1));
  EXPECT_FALSE(is_in_initrd(root.root(), kRelease, "/boot/initrd"));
}

TEST_F(EarlyCopyTest, AFailedLoadIsRemembered) {
  EXPECT_EQ(read_early_load(root.root()), std::nullopt);
  root.write("/usr/lib/vmcore-guest/copy.json", "{");
  ASSERT_FALSE(load_early_copy(root.root()));
  const auto load = read_early_load(root.root());
  ASSERT_TRUE(load);
  EXPECT_GT(load->at.count(), 0);
  EXPECT_THAT(load->error, HasSubstr("copy.json is damaged"));
  root.write("/usr/lib/vmcore-guest/copy.json", format_early_copy({kKernel, kImage, "1", 2}));
  root.write("/usr/lib/vmcore-guest/kernel", root.read(kKernel));
  root.write("/usr/lib/vmcore-guest/image", image);
  ASSERT_FALSE(load_early_copy(root.root()));
  EXPECT_THAT(read_early_load(root.root())->error, HasSubstr("no memory is reserved"));
}

TEST(EarlyCopy, WhatIsNoneIsNone) {
  for (const char* text : {"", "{", "[]", R"({"kernel":"","image":"","sum":""})",
                           R"({"kernel":"","image":"","sum":"","size":-1})"}) {
    EXPECT_EQ(parse_early_copy(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace vmcore::guest::kexec
