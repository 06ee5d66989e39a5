// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/saved_dumps.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "src/formats/guest_stream/sealed_stream.h"
#include "src/formats/guest_stream/writer.h"
#include "tests/unit/guest/folder.h"

namespace vmcore::guest::status {
namespace {

TEST(FolderOfTarget, IsWhereItsDeviceIsMounted) {
  const Folder folder;
  const std::vector<image::MountPoint> mounts = image::parse_mountinfo(
      "22 1 0:25 /@rootfs / rw,relatime shared:1 - btrfs /dev/vda1 rw\n"
      "23 22 254:16 / /srv/crash rw - xfs /dev/vdb rw\n");
  const auto seen = [&](const config::Target& target) {
    return folder_of_target(folder.root(), mounts, target);
  };
  EXPECT_EQ(seen({"file", "/var/crash"}), "/var/crash");
  EXPECT_EQ(seen({"file", "/dev/vda1:/var/crash"}), "/var/crash");
  EXPECT_EQ(seen({"file", "/dev/vdb:/kdump"}), "/srv/crash/kdump");
  EXPECT_EQ(seen({"file", "/dev/vda1:/srv/crash"}), std::nullopt);  // hidden
  EXPECT_EQ(seen({"file", "/dev/vdx:/x"}), std::nullopt);
  EXPECT_EQ(seen({"port", ""}), std::nullopt);
}

// What a crash left there is not known, which is not that there is nothing.
TEST(UnseenTargets, AreThoseThatAreNotMounted) {
  const Folder folder;
  folder.write("/etc/fstab", "/dev/vda1 / ext4 defaults 0 0\n");
  config::CaptureConfig config;
  config.targets = {{"port", ""}, {"file", "/dev/vda1:/x"}, {"file", "/dev/vdb:/y"}};
  EXPECT_EQ(unseen_targets(folder.root(), config), std::vector<std::string>{"file:/dev/vdb:/y"});
}

TEST(NewestDump, OfAllTargets) {
  const Folder folder;
  config::CaptureConfig config;
  config.targets = {{"port", ""}, {"file", "/a"}, {"file", "/b"}};
  EXPECT_FALSE(newest_dump(folder.root(), config));
  folder.write("/a/2026-11-20-120000/vmcore", "");
  folder.write("/a/zzz/vmcore", "");
  folder.write("/b/2026-11-19-120000/vmcore", "");
  EXPECT_EQ(newest_dump(folder.root(), config)->path, "/a/2026-11-20-120000/vmcore");
  EXPECT_TRUE(newest_dump(folder.root(), config)->complete);
  EXPECT_EQ(newest_dump(folder.root(), config)->tag, "");
  folder.write("/a/2026-11-20-120000/tag", "rehearsal\n");
  EXPECT_EQ(newest_dump(folder.root(), config)->tag, "rehearsal");
  folder.write("/b/2026-11-20-120001/vmcore.incomplete", "");
  EXPECT_EQ(newest_dump(folder.root(), config)->path, "/b/2026-11-20-120001/vmcore.incomplete");
  EXPECT_FALSE(newest_dump(folder.root(), config)->complete);
  folder.write("/b/2026-11-20-120001.1/dmesg.txt", "");
  EXPECT_EQ(newest_dump(folder.root(), config)->path, "/b/2026-11-20-120001.1/dmesg.txt");
  EXPECT_TRUE(newest_dump(folder.root(), config)->only_log);
}

TEST(NewestDump, OfTheFlatLayout) {
  const Folder folder;
  config::CaptureConfig config;
  config.targets = {{"file", "/a"}};
  config.layout = config::Layout::flat;
  folder.write("/a/2026-11-20-120000/vmcore", "");
  EXPECT_FALSE(newest_dump(folder.root(), config));
  folder.write("/a/dmesg-2026-11-19-120000.log", "");
  EXPECT_TRUE(newest_dump(folder.root(), config)->only_log);
  folder.write("/a/vmcore-2026-11-19-120000", "");
  folder.write("/a/tag-2026-11-19-120000", "rehearsal\n");
  EXPECT_EQ(newest_dump(folder.root(), config)->path, "/a/vmcore-2026-11-19-120000");
  EXPECT_TRUE(newest_dump(folder.root(), config)->complete);
  EXPECT_EQ(newest_dump(folder.root(), config)->tag, "rehearsal");
}

TEST(NewestDump, OnARawDevice) {
  const Folder folder;
  config::CaptureConfig config;
  config.targets = {{"raw", "/dev/vdb"}};
  folder.write("/dev/vdb", std::string(1 << 20, '\0'));
  EXPECT_FALSE(newest_dump(folder.root(), config));
  const Fd device(::open((folder.path() / "dev/vdb").c_str(), O_RDWR));
  formats::GuestStreamWriter writer(formats::send_to(device.get()), formats::random_stream_id());
  ASSERT_TRUE(writer.hello({.tag = "rehearsal", .crash_time = 1'763'751'093}));
  const auto newest = newest_dump(folder.root(), config);
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->path, "/dev/vdb");
  EXPECT_EQ(newest->time, "2025-11-21-185133");
  EXPECT_FALSE(newest->complete);
  EXPECT_EQ(newest->tag, "rehearsal");
}

TEST(NewestDump, OfASealedOneNothingTellsThatItIsNotComplete) {
  const Folder folder;
  config::CaptureConfig config;
  config.targets = {{"raw", "/dev/vdb"}};
  folder.write("/dev/vdb", std::string(1 << 20, '\0'));
  const Fd device(::open((folder.path() / "dev/vdb").c_str(), O_RDWR));
  const auto key = seal::SecretKey({1, 2, 3}).public_key();
  formats::GuestStreamWriter writer(*formats::sealed_to(key, formats::send_to(device.get())),
                                    formats::random_stream_id());
  ASSERT_TRUE(writer.hello({}));
  const auto newest = newest_dump(folder.root(), config);
  ASSERT_TRUE(newest);
  EXPECT_EQ(newest->path, "/dev/vdb");
  EXPECT_TRUE(newest->complete);
  EXPECT_FALSE(newest->tag);
}

TEST(CollectPstore, MovesWhatIsThere) {
  const Folder folder;
  EXPECT_EQ(collect_pstore(folder.root()), "");
  folder.write("/var/lib/x", "");
  folder.write("/sys/fs/pstore/dmesg-efi-1", "Oops#1 Part1\n");
  folder.write("/sys/fs/pstore/dmesg-efi-2",
               "Panic#2 Part1\n<0>[    1.0] Kernel panic - not syncing: x\n");
  folder.write("/sys/fs/pstore/console-ramoops-0", "log\n");
  const auto place = collect_pstore(folder.root());
  ASSERT_TRUE(place) << place.error().message;
  EXPECT_EQ(newest_pstore(folder.root()), *place);
  EXPECT_EQ(folder.root().read(*place + "/dmesg-efi-1"), "Oops#1 Part1\n");
  EXPECT_EQ(folder.root().read(*place + "/console-ramoops-0"), "log\n");
  EXPECT_EQ(folder.root().read(*place + "/dmesg.txt"),
            "<0>[    1.0] Kernel panic - not syncing: x\n");
  EXPECT_EQ(folder.root().read(*place + "/reason"), "Kernel panic - not syncing: x\n");
  EXPECT_EQ(folder.root().read(*place + "/versions")->find("vmcore-guest 0."), 0U);
  EXPECT_TRUE(folder.root().list("/sys/fs/pstore")->empty());
  EXPECT_EQ(collect_pstore(folder.root()), "");
}

TEST(CollectPstore, OneThatCannotBeReadKeepsNoOtherBack) {
  const Folder folder;
  folder.write("/var/lib/x", "");
  folder.write("/sys/fs/pstore/a/cannot", "");  // a folder: not to be read as a file
  folder.write("/sys/fs/pstore/dmesg-efi-1", "Oops#1 Part1\n");
  EXPECT_FALSE(collect_pstore(folder.root()));
  EXPECT_EQ(folder.root().read(newest_pstore(folder.root()) + "/dmesg-efi-1"), "Oops#1 Part1\n");
  EXPECT_EQ(folder.root().list("/sys/fs/pstore")->size(), 1U);
}

}  // namespace
}  // namespace vmcore::guest::status
