// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/capture_image.h"

#include <elf.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "guest/config/gzip.h"
#include "guest/image/cpio.h"
#include "guest/image/stale_image.h"
#include "guest/kexec/load.h"
#include "tests/unit/guest/elf_module.h"
#include "tests/unit/guest/elf_program.h"

namespace vmcore::guest::image {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRelease = "6.1-test";

class CaptureImageTest : public ::testing::Test {
 protected:
  CaptureImageTest() {
    std::string name = (fs::temp_directory_path() / "vmcore-image-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    parts_.release = kRelease;
    parts_.init = "the program";
  }
  ~CaptureImageTest() override { fs::remove_all(folder_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  static std::string in_modules(const std::string& path) {
    return "lib/modules/" + std::string(kRelease) + "/" + path;
  }
  // A module as its own .modinfo tells what it needs.
  void module(const std::string& name, const std::string& needs) const {
    write(in_modules("kernel/" + name + ".ko"),
          elf_module(std::string("license=GPL\0depends=", 20) + needs + std::string("\0name=", 6) +
                     name + '\0'));
  }
  // The kernel of the tests: virtio_pci needs virtio; virtio_console is a module.
  void unpacked_kernel() const {
    module("virtio_pci", "virtio,virtio-ring");
    module("virtio-ring", "");
    module("virtio", "");
    module("virtio_console", "virtio,virtio_ring");
    module("ext4", "");
    module("xfs", "");
    write(in_modules("modules.builtin"), "kernel/drivers/block/virtio_blk.ko\n");
  }
  root::Root root() const { return *root::Root::open(folder_.string()); }
  std::string order(const CaptureImage& image) const {
    return std::string(find_in_cpio(image.bytes, "modules/order").value_or("(none)"));
  }

  fs::path folder_;
  ImageParts parts_;
};

TEST_F(CaptureImageTest, HasWhatItsTargetsNeedInTheirOrder) {
  unpacked_kernel();
  parts_.config.targets = {{"port", ""}};
  const auto image = make_capture_image(root(), parts_);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(order(*image),
            "virtio.ko.gz\nvirtio-ring.ko.gz\nvirtio_pci.ko.gz\nvirtio_console.ko.gz\n");
  EXPECT_EQ(find_in_cpio(image->bytes, "init"), "the program");
  EXPECT_EQ(find_in_cpio(image->bytes, "etc/vmcore-guest.conf"),
            config::format_config(parts_.config));
  const auto ring = find_in_cpio(image->bytes, "modules/virtio-ring.ko.gz");
  ASSERT_TRUE(ring);
  EXPECT_EQ(config::gunzip(*ring, 1U << 20)->substr(0, 4), ELFMAG);
  EXPECT_FALSE(find_in_cpio(image->bytes, "modules/ext4.ko.gz"));
  EXPECT_TRUE(image->remarks.empty());
}

TEST_F(CaptureImageTest, AnInstalledKernelTellsItsDependencies) {
  unpacked_kernel();
  write(in_modules("modules.dep"),
        "kernel/virtio.ko:\nkernel/virtio_console.ko: kernel/virtio.ko\n");
  write(in_modules("modules.builtin"), "kernel/drivers/virtio/virtio_pci.ko\n");
  parts_.config.targets = {{"port", ""}};
  EXPECT_EQ(order(*make_capture_image(root(), parts_)), "virtio.ko.gz\nvirtio_console.ko.gz\n");
}

TEST_F(CaptureImageTest, TheFileSystemIsThatOfFstab) {
  unpacked_kernel();
  parts_.config.targets = {{"file", "UUID=12:/var/crash"}};
  EXPECT_NE(order(*make_capture_image(root(), parts_)).find("ext4.ko.gz\nxfs.ko.gz\n"),
            std::string::npos);
  write("etc/fstab", "# <what>\nUUID=1 / ext4\nUUID=12 /var xfs defaults\n");
  const std::string some = order(*make_capture_image(root(), parts_));
  EXPECT_NE(some.find("xfs.ko"), std::string::npos);
  EXPECT_EQ(some.find("ext4.ko"), std::string::npos);
}

// Of an SD card /sys shows the driver of its controller, and not its own.
TEST_F(CaptureImageTest, AnSdCardNeedsAModuleThatSysDoesNotShow) {
  unpacked_kernel();
  module("mmc_block", "");
  module("sdhci_pci", "");
  fs::create_directories(folder_ / "sys/class/block/mmcblk0");
  fs::create_directories(folder_ / "sys/class/block/driver");
  fs::create_symlink("../../../module/sdhci_pci", folder_ / "sys/class/block/driver/module");
  parts_.config.targets = {{"file", "/dev/mmcblk0:/x"}};
  const std::string modules = order(*make_capture_image(root(), parts_));
  EXPECT_NE(modules.find("mmc_block.ko.gz\nsdhci_pci.ko.gz\n"), std::string::npos) << modules;
}

TEST_F(CaptureImageTest, AChecksumIsLoadedBeforeWhoAsksForIt) {
  unpacked_kernel();
  module("crc32c_generic", "");
  parts_.config.targets = {{"file", "/dev/vdb:/x"}};
  write("etc/fstab", "/dev/vdb /x xfs\n");
  EXPECT_NE(order(*make_capture_image(root(), parts_)).find("crc32c_generic.ko.gz\nxfs.ko.gz\n"),
            std::string::npos);
}

TEST_F(CaptureImageTest, ATargetThatTheKernelCannotServeIsTold) {
  unpacked_kernel();
  parts_.config.targets = {{"port", ""}, {"vsock", ""}};
  const auto image = make_capture_image(root(), parts_);
  ASSERT_TRUE(image);
  ASSERT_EQ(image->remarks.size(), 1U);
  EXPECT_EQ(image->remarks.front().text, "target vsock: this kernel has no driver for vsock");
  parts_.config.targets = {{"vsock", ""}};
  EXPECT_EQ(make_capture_image(root(), parts_).error().code, Errc::unsupported);
  parts_.release = "7.0";
  EXPECT_EQ(make_capture_image(root(), parts_).error().code, Errc::not_found);
}

TEST_F(CaptureImageTest, ADeviceThatInitCannotPutTogetherIsRefused) {
  unpacked_kernel();
  write("sys/class/block/dm-0/dm/name", "crashes");
  const auto said = [&](const std::string& kind, const std::string& where) {
    parts_.config.targets = {{kind, where}};
    const auto image = make_capture_image(root(), parts_);
    return image ? "" : image.error().message;
  };
  EXPECT_EQ(
      said("raw", "/dev/dm-0"),
      "target raw: /dev/dm-0 is on LVM, LUKS or another device mapper, which the capture kernel "
      "does not set up: use a plain disk or partition, or send the dump to the host (target = "
      "port); no usable target is left");
  EXPECT_NE(said("file", "/dev/mapper/vg-crash:/x").find("is on LVM, LUKS"), std::string::npos);
  EXPECT_NE(said("file", "/dev/md0:/x").find("/dev/md0 is a RAID"), std::string::npos);
  EXPECT_NE(said("file", "/dev/disk/by-uuid/1:/x").find("by-uuid/1 is a link of udev"),
            std::string::npos);
  EXPECT_EQ(said("file", "/dev/vdb:/x"), "");
  EXPECT_NE(said("tcp", "example.org:1").find("target tcp: "), std::string::npos);
}

TEST_F(CaptureImageTest, TellsWhatItWasMadeOf) {
  unpacked_kernel();
  const auto manifest = [&] {
    const auto image = make_capture_image(root(), parts_);
    return std::string(find_in_cpio(image->bytes, "etc/vmcore-guest.image").value_or("(none)"));
  };
  const std::string first = manifest();
  EXPECT_EQ(manifest(), first);
  EXPECT_EQ(first.find("RELEASE=6.1-test\nINIT="), 0U) << first;
  const auto line = [](const std::string& text, const std::string& key) {
    const std::size_t at = text.find("\n" + key + "=");
    return text.substr(at, text.find('\n', at + 1) - at);
  };
  parts_.config.level = 1;
  const std::string second = manifest();
  EXPECT_NE(line(second, "CONFIG"), line(first, "CONFIG"));
  EXPECT_EQ(line(second, "MODULES"), line(first, "MODULES"));
  module("virtio", "virtio_ring");
  EXPECT_NE(line(manifest(), "MODULES"), line(second, "MODULES"));
}

TEST_F(CaptureImageTest, ABuiltImageIsWhole) {
  unpacked_kernel();
  const std::string image = make_capture_image(root(), parts_)->bytes;
  const auto whole = check_image(image, kRelease);
  EXPECT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(check_image(image, "7.0").error().code, Errc::invalid);
}

TEST_F(CaptureImageTest, AnyOtherByteAnywhereIsSeen) {
  unpacked_kernel();
  const std::string image = make_capture_image(root(), parts_)->bytes;
  for (std::size_t at = 0; at < image.size(); ++at) {
    std::string other = image;
    other[at] = static_cast<char>(other[at] ^ 1);
    EXPECT_FALSE(check_image(other, kRelease)) << at;
  }
  for (std::size_t size = 0; size < image.size(); ++size) {
    EXPECT_FALSE(check_image(image.substr(0, size), kRelease)) << size;
  }
  EXPECT_EQ(check_image(image.substr(0, image.size() / 2), kRelease).error().code, Errc::malformed);
  EXPECT_EQ(check_image("070701", kRelease).error().code, Errc::not_recognised);
}

TEST_F(CaptureImageTest, WhatIsAppendedIsNotOurs) {
  unpacked_kernel();
  const std::string image = make_capture_image(root(), parts_)->bytes;
  Cpio cpio;
  ASSERT_TRUE(cpio.add_file("bin/sh", 0755, "a shell"));
  const std::string other = cpio.finish();
  EXPECT_TRUE(check_image(image + other, kRelease));
  EXPECT_TRUE(check_image(image + std::string(512, '\0') + other, kRelease));
  for (std::size_t at = 0; at < image.size(); ++at) {
    std::string damaged = image + other;
    damaged[at] = static_cast<char>(damaged[at] ^ 1);
    EXPECT_FALSE(check_image(damaged, kRelease)) << at;
  }
  EXPECT_FALSE(check_image(image.substr(0, image.size() - 4) + other, kRelease));
}

TEST_F(CaptureImageTest, WhatIsNotWholeIsStale) {
  unpacked_kernel();
  const std::string image = make_capture_image(root(), parts_)->bytes;
  write("image", image);
  EXPECT_FALSE(is_stale(root(), "/image", kRelease));
  EXPECT_TRUE(is_stale(root(), "/image", "7.0"));
  write("image", image.substr(0, image.size() / 2));
  EXPECT_TRUE(is_stale(root(), "/image", kRelease));
  write("image", "");
  EXPECT_TRUE(is_stale(root(), "/image", kRelease));
}

TEST_F(CaptureImageTest, AnImageMayBeLarge) {
  unpacked_kernel();
  parts_.init = std::string(20U << 20, 'x');
  write("image", make_capture_image(root(), parts_)->bytes);
  EXPECT_FALSE(is_stale(root(), "/image", kRelease));
}

TEST_F(CaptureImageTest, AnImageWithAnotherKeyIsStale) {
  unpacked_kernel();
  const std::string image = make_capture_image(root(), parts_)->bytes;
  const auto later = [this, &image](const std::string& path, const std::string& text = "new") {
    write("image", image);
    const timespec wait{.tv_sec = 0, .tv_nsec = 20'000'000};  // the file system's clock ticks by 10
    ::nanosleep(&wait, nullptr);
    write(path, text);
    return is_stale(root(), "/image", kRelease);
  };
  EXPECT_FALSE(later("etc/vmcore-guest/ssh-key"));  // nobody needs it
  write("etc/vmcore-guest.conf", "target = ssh:me@192.0.2.1\nnetwork = eth0,192.0.2.2/24\n");
  write("image", image);
  EXPECT_TRUE(later("etc/vmcore-guest/ssh-key"));
  EXPECT_TRUE(later("etc/vmcore-guest/ssh-known-hosts"));
  EXPECT_TRUE(later("usr/bin/ssh"));
  EXPECT_FALSE(later("etc/passwd"));
  write("usr/bin/ssh", elf_program("/lib64/ld.so", {"libcrypto.so.3"}));
  write("usr/lib64/libcrypto.so.3", elf_program("", {"libz.so.1"}));
  write("usr/lib64/libz.so.1", elf_program("", {}));
  write("lib64/ld.so", elf_program("", {}));
  EXPECT_FALSE(later("etc/passwd"));
  EXPECT_TRUE(later("usr/lib64/libz.so.1", elf_program("", {})));
}

// What this process has read so far, in bytes.
std::uint64_t bytes_read() {
  std::ifstream io("/proc/self/io");
  std::string key;
  std::uint64_t bytes = 0;
  io >> key >> bytes;
  return key == "rchar:" ? bytes : 0;
}

TEST_F(CaptureImageTest, IsReadOnceForALoad) {
  unpacked_kernel();
  std::string kernel(0x600, '\0');
  kernel.replace(0x202, 4, "HdrS").replace(0x206, 2, "\x0f\x02").replace(0x236, 1, "\1");
  kernel.replace(0x20f, 1, "\3").replace(0x500, std::strlen(kRelease), kRelease);
  write("boot/vmlinuz", kernel);
  write("run/others", "");
  constexpr std::size_t kLarge = 8U << 20;
  parts_.init = std::string(kLarge, 'x');
  write(capture_image_path(kRelease).substr(1), make_capture_image(root(), parts_)->bytes);
  const std::uint64_t before = bytes_read();
  const auto loaded = kexec::load_capture_kernel(
      root(), {.kernel = "/boot/vmlinuz", .image = "", .append = "", .tag = "", .force = true});
  EXPECT_EQ(loaded.error().message, "/proc/cmdline: No such file or directory");
  EXPECT_GE(bytes_read() - before, kLarge);
  EXPECT_LT(bytes_read() - before, kLarge + kLarge / 2);
}

// A program with one segment of that type.
TEST_F(CaptureImageTest, HasTheSshClientAndWhatItIsGiven) {
  unpacked_kernel();
  module("virtio_net", "virtio");
  parts_.config.targets = {{"port", ""}, {"ssh", "me@192.0.2.1"}};
  auto image = make_capture_image(root(), parts_);
  ASSERT_TRUE(image);
  ASSERT_EQ(image->remarks.size(), 1U);  // the port is served all the same
  EXPECT_NE(image->remarks.front().text.find("target ssh: /usr/bin/ssh"), std::string::npos);
  parts_.config.targets = {{"ssh", "me@192.0.2.1"}};
  EXPECT_EQ(make_capture_image(root(), parts_).error().code, Errc::unsupported);
  write("usr/bin/ssh", elf_program("", {}));
  write("etc/vmcore-guest/ssh-key", "the key");
  write("etc/vmcore-guest/ssh-known-hosts", "192.0.2.1 ssh-ed25519 AAAA\n");
  image = make_capture_image(root(), parts_);
  EXPECT_TRUE(image->remarks.empty());
  EXPECT_EQ(find_in_cpio(image->bytes, "usr/bin/ssh"), elf_program("", {}));
  EXPECT_EQ(find_in_cpio(image->bytes, "etc/vmcore-guest/ssh-key"), "the key");
  EXPECT_TRUE(find_in_cpio(image->bytes, "etc/passwd"));
  EXPECT_TRUE(find_in_cpio(image->bytes, "modules/virtio_net.ko.gz"));
  write("etc/vmcore-guest/ssh-key", "another");
  EXPECT_NE(make_capture_image(root(), parts_)->bytes, image->bytes);
}

TEST_F(CaptureImageTest, HasTheModuleOfAnAddressOfVersion6) {
  unpacked_kernel();
  module("virtio_net", "virtio");
  module("ipv6", "");
  parts_.config.targets = {{"tcp", "192.0.2.1:1"}};
  EXPECT_FALSE(find_in_cpio(make_capture_image(root(), parts_)->bytes, "modules/ipv6.ko.gz"));
  parts_.config.targets = {{"tcp", "[2001:db8::1]:1"}};
  EXPECT_TRUE(find_in_cpio(make_capture_image(root(), parts_)->bytes, "modules/ipv6.ko.gz"));
}

TEST_F(CaptureImageTest, HasTheDriverThatStopsTheWatchdog) {
  unpacked_kernel();
  module("i6300esb", "");
  write("sys/class/watchdog/watchdog0/identity", "i6300ESB timer\n");
  parts_.config.targets = {{"port", ""}};
  EXPECT_EQ(order(*make_capture_image(root(), parts_)).find("i6300esb"), std::string::npos);
  fs::create_directories(folder_ / "sys/class/watchdog/watchdog0/driver");
  fs::create_directory_symlink("/sys/module/i6300esb",
                               folder_ / "sys/class/watchdog/watchdog0/driver/module");
  EXPECT_NE(order(*make_capture_image(root(), parts_)).find("i6300esb.ko.gz\nvirtio_console"),
            std::string::npos);
}

// As the target itself would say when it is too late.
TEST_F(CaptureImageTest, ATargetThatIsNotUnderstoodIsTold) {
  unpacked_kernel();
  module("vmw_vsock_virtio_transport", "");
  module("virtio_net", "virtio");
  write("usr/bin/ssh", elf_program("", {}));
  write("etc/vmcore-guest/ssh-key", "the key");
  write("etc/vmcore-guest/ssh-known-hosts", "the hosts");
  for (const auto& [target, why] : std::vector<std::pair<config::Target, std::string>>{
           {{"tcp", "collector.example.com:30317"},
            "target tcp: \"collector.example.com\" is not an IP address"},
           {{"tcp", "192.0.2.1"}, "target tcp: \"192.0.2.1\" is not ADDRESS:PORT"},
           {{"ssh", "kdump@host"}, "target ssh: \"host\" is not ADDRESS:PORT"},
           {{"vsock", "abc"}, "target vsock: \"abc\" is not a port number"},
           {{"file", "UUID=x"}, "target file: \"UUID=x\" is not DEVICE:/FOLDER"},
           {{"file", "/var/crash"},
            "target file: the capture kernel mounts nothing at /var/crash: name the device "
            "of its file system (file:DEVICE:/FOLDER)"},
           {{"file", "vdb:/crash"},
            "target file: \"vdb\" is not a device: use /dev/NAME, UUID=... or LABEL=..."},
           {{"raw", "LABEL=x"},
            "target raw: \"LABEL=x\" is not /dev/NAME: a UUID or a label names a file system, "
            "which the dump would overwrite"}}) {
    parts_.config.targets = {{"port", ""}, target};
    const auto image = make_capture_image(root(), parts_);
    ASSERT_TRUE(image) << image.error().message;
    ASSERT_EQ(image->remarks.size(), 1U) << why;
    EXPECT_EQ(image->remarks.front().text, why);
  }
}

TEST_F(CaptureImageTest, ModulesThatNeedEachOtherEnd) {
  unpacked_kernel();
  module("virtio", "virtio_pci");
  EXPECT_TRUE(make_capture_image(root(), parts_));
}

TEST(CheckInit, TakesOnlyWhatNeedsNothingBesideIt) {
  EXPECT_TRUE(check_init(elf_program("", {})));
  EXPECT_EQ(check_init(elf_program("/lib64/ld.so", {})).error().code, Errc::unsupported);
  EXPECT_EQ(check_init(elf_program("", {}).substr(0, 100)).error().code, Errc::malformed);
  EXPECT_EQ(check_init("#!/bin/sh").error().code, Errc::not_recognised);
}

}  // namespace
}  // namespace vmcore::guest::image
