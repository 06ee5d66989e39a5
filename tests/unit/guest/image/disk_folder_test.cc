// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/disk_folder.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::image {
namespace {

// As Debian 12 installs on btrfs, with a disk for /boot and one for data.
constexpr std::string_view kDebian =
    "22 1 0:25 /@rootfs / rw,relatime shared:1 - btrfs /dev/vda2 rw,space_cache=v2,subvolid=256\n"
    "23 22 254:1 / /boot rw,relatime shared:2 - ext4 /dev/vda1 rw\n"
    "24 22 0:5 / /dev rw - devtmpfs udev rw\n"
    "25 22 0:26 / /tmp rw - tmpfs tmpfs rw\n"
    "26 22 254:16 / /srv/my\\040data rw - xfs /dev/vdb rw\n";
// As openSUSE does: snapshots of the root, and what is in none.
constexpr std::string_view kSuse =
    "22 1 0:25 /@/.snapshots/1/snapshot / rw - btrfs /dev/vda2 rw\n"
    "23 22 0:25 /@/var /var rw - btrfs /dev/vda2 rw\n"
    "24 22 0:25 /@/home /home rw - btrfs /dev/vda2 rw\n";

class DiskFolderTest : public ::testing::Test {
 protected:
  // "the place in the capture image, seen at its path here", or why it is refused.
  std::string found(std::string_view mounts, const std::string& where) const {
    const auto place = save::parse_file_place(where);
    EXPECT_TRUE(place) << where;
    const auto folder = find_disk_folder(folder_.root(), parse_mountinfo(mounts), *place);
    return folder ? save::format_file_place(folder->place) + ", seen at " +
                        folder->seen.value_or("no place")
                  : folder.error().message;
  }

  FolderRoot folder_;
};

TEST_F(DiskFolderTest, OfBtrfsIsTheSubvolumeThatIsMountedThere) {
  EXPECT_EQ(found(kDebian, "/dev/vda2:/var/crash"),
            "/dev/vda2[/@rootfs]:/var/crash, seen at /var/crash");
  EXPECT_EQ(found(kDebian, "/dev/vda2:/var/crash/"),
            "/dev/vda2[/@rootfs]:/var/crash, seen at /var/crash");
  EXPECT_EQ(found(kSuse, "/dev/vda2:/var/crash"), "/dev/vda2[/@/var]:/crash, seen at /var/crash");
  EXPECT_EQ(found(kSuse, "/dev/vda2:/crash"),
            "/dev/vda2[/@/.snapshots/1/snapshot]:/crash, seen at /crash");
}

TEST_F(DiskFolderTest, OfBtrfsMayBeNamedFromTheTop) {
  for (const char* where : {"/dev/vda2:/@rootfs/var/crash", "/dev/vda2[/@rootfs]:/var/crash"}) {
    EXPECT_EQ(found(kDebian, where), "/dev/vda2[/@rootfs]:/var/crash, seen at /var/crash");
  }
  EXPECT_EQ(found(kDebian, "/dev/vda2[/@crash]:/"), "/dev/vda2[/@crash]:/, seen at no place");
}

TEST_F(DiskFolderTest, OfADiskIsBelowWhereItIsMounted) {
  EXPECT_EQ(found(kDebian, "/dev/vda1:/crash"), "/dev/vda1:/crash, seen at /boot/crash");
  EXPECT_EQ(found(kDebian, "/dev/vdb:/"), "/dev/vdb:/, seen at /srv/my data");
  EXPECT_EQ(found(kDebian, "/dev/vdc:/crash"), "/dev/vdc:/crash, seen at no place");
  EXPECT_EQ(found("22 1 0:25 /@data /srv rw - btrfs /dev/vdb rw\n", "/dev/vdb:/crash"),
            "/dev/vdb[/@data]:/crash, seen at /srv/crash");
  EXPECT_EQ(found("22 1 0:25 / /srv rw - btrfs /dev/vdb rw\n", "/dev/vdb:/crash"),
            "/dev/vdb[/]:/crash, seen at /srv/crash");
}

TEST_F(DiskFolderTest, ThatIsHiddenIsRefused) {
  const std::string mounts = std::string(kDebian) +
                             "30 22 254:33 / /var rw - ext4 /dev/vdc1 rw\n"
                             "31 23 0:40 / /boot/efi rw - vfat /dev/vda3 rw\n";
  EXPECT_EQ(found(mounts, "/dev/vda2:/var/crash"),
            "/var/crash here is not on /dev/vda2: this guest would not see the dumps there; use "
            "/dev/vdc1, which is mounted at /var (target = file:/dev/vdc1:/crash)");
  EXPECT_EQ(found(mounts, "/dev/vda1:/efi/crash"),
            "/boot/efi/crash here is not on /dev/vda1: this guest would not see the dumps there; "
            "use /dev/vda3, which is mounted at /boot/efi (target = file:/dev/vda3:/crash)");
  EXPECT_EQ(found(kDebian, "/dev/vda2:/tmp/crash"),
            "/tmp/crash here is not on /dev/vda2: this guest would not see the dumps there; use "
            "another folder");
}

TEST_F(DiskFolderTest, OfTwoSubvolumesItMustTellWhich) {
  constexpr std::string_view kTwo =
      "21 1 254:1 / / rw - ext4 /dev/vda1 rw\n"
      "22 21 0:25 /@a /a rw - btrfs /dev/vdb rw\n23 21 0:25 /@b /b rw - btrfs /dev/vdb rw\n";
  EXPECT_EQ(found(kTwo, "/dev/vdb:/crash"),
            "/dev/vdb has several mounted subvolumes (/@a, /@b), and /crash is not below any of "
            "them: give the path of the folder as this guest sees it");
  EXPECT_EQ(found(kTwo, "/dev/vdb:/b/crash"), "/dev/vdb[/@b]:/crash, seen at /b/crash");
  EXPECT_EQ(found(kTwo, "/dev/vdb[/@a]:/crash"), "/dev/vdb[/@a]:/crash, seen at /a/crash");
}

TEST_F(DiskFolderTest, OfABindMountIsWhereItLies) {
  constexpr std::string_view kBind =
      "21 1 254:1 / / rw - ext4 /dev/vda1 rw\n"
      "22 21 254:1 /store/crash /var/crash rw - ext4 /dev/vda1 rw\n";
  EXPECT_EQ(found(kBind, "/dev/vda1:/var/crash"), "/dev/vda1:/store/crash, seen at /var/crash");
  EXPECT_EQ(found("21 1 254:1 /sub /x rw - ext4 /dev/vda1 rw\n", "/dev/vda1:/crash"),
            "/dev/vda1:/crash, seen at no place");
}

// The root of a live system or a read-only image.
TEST_F(DiskFolderTest, BelowAnOverlayIsWhereItsDiskIsMounted) {
  constexpr std::string_view kOverlay =
      "21 1 0:30 / / rw - overlay overlay rw,lowerdir=/media/root-ro\n"
      "22 21 254:1 / /media/root-ro ro - ext4 /dev/vda1 rw\n";
  EXPECT_EQ(found(kOverlay, "/dev/vda1:/var/crash"),
            "/dev/vda1:/var/crash, seen at /media/root-ro/var/crash");
}

TEST_F(DiskFolderTest, LinksAreFollowedAsThisGuestFollowsThem) {
  constexpr std::string_view kMounts =
      "21 1 254:1 / / rw - ext4 /dev/vda1 rw\n22 21 254:16 / /data rw - xfs /dev/vdb rw\n";
  folder_.write("/srv/dumps/x", "");
  folder_.write("/data/x", "");
  folder_.link("/var/crash", "/srv/dumps");
  folder_.link("/var/other", "/data");
  EXPECT_EQ(found(kMounts, "/dev/vda1:/var/crash/new"),
            "/dev/vda1:/srv/dumps/new, seen at /srv/dumps/new");
  EXPECT_EQ(found(kMounts, "/dev/vda1:/var/other/new"),
            "/var/other/new here is a link to /data/new, which is not on /dev/vda1: this guest "
            "would not see the dumps there; use /dev/vdb, which is mounted at /data (target = "
            "file:/dev/vdb:/new)");
}

TEST_F(DiskFolderTest, OfAnImageIsThatOfItsFstab) {
  folder_.write("/etc/fstab",
                "# <file system> <mount point> <type> <options>\n"
                "UUID=12 / btrfs defaults,subvol=@rootfs 0 0\n"
                "UUID=34 /boot ext4 defaults 0 2\n"
                "UUID=56 none swap sw 0 0\n");
  config::CaptureConfig config;
  config.targets = {{"file", "UUID=12:/var/crash"}, {"port", ""}, {"file", "UUID=78:/crash"}};
  config = with_disk_folders(folder_.root(), config);
  EXPECT_EQ(config.targets[0].where, "UUID=12[/@rootfs]:/var/crash");
  EXPECT_EQ(config.targets[1].where, "");
  EXPECT_EQ(config.targets[2].where, "UUID=78:/crash");
}

TEST_F(DiskFolderTest, WhatIsNoMountIsPassedOver) {
  EXPECT_TRUE(parse_mountinfo("- -\n \n- ext4\n1 2 3 4 5 -\n1 2 3:4 / /x rw - ext4\n").empty());
}

}  // namespace
}  // namespace vmcore::guest::image
