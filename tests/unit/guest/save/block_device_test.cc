// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/block_device.h"

#include <gtest/gtest.h>

#include "src/base/fd.h"
#include "src/base/sys.h"

namespace vmcore::guest::save {
namespace {

// A device that is zeros but for some text.
Result<FileSystem> probe(const std::vector<std::pair<std::size_t, std::string>>& texts) {
  const Fd device = *make_memory_file("device");
  static_cast<void>(sys::truncate(device.get(), 128 << 10));
  for (const auto& [at, text] : texts) {
    static_cast<void>(
        sys::pwrite_full(device.get(), std::as_bytes(std::span(text.data(), text.size())), at));
  }
  return probe_file_system(device.get());
}

const std::string kUuid("\x1b\x4e\x28\xba\x2f\xa1\x11\xd2\x88\x3f\x00\x16\xd3\xcc\xa4\x27", 16);
constexpr const char* kUuidText = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

TEST(BlockDevice, KnowsFileSystemsByTheirSuperblocks) {
  EXPECT_EQ(probe({{0x438, "\x53\xef"}, {0x468, kUuid}, {0x478, "crashes"}}),
            (FileSystem{"ext4", kUuidText, "crashes"}));
  EXPECT_EQ(probe({{0x438, "\x53\xef"}, {0x478, "sixteen letters!and more"}})->label,
            "sixteen letters!");
  EXPECT_EQ(probe({{0, "XFSB"}, {32, kUuid}, {108, "x"}}), (FileSystem{"xfs", kUuidText, "x"}));
  EXPECT_EQ(probe({{0x10040, "_BHRfS_M"}, {0x10020, kUuid}, {0x1012b, "b"}}),
            (FileSystem{"btrfs", kUuidText, "b"}));
  EXPECT_EQ(probe({{82, "FAT32   "}, {67, "\x34\x12\xcd\xab"}, {71, "CRASHES    "}}),
            (FileSystem{"vfat", "ABCD-1234", "CRASHES"}));
}

TEST(BlockDevice, SaysWhatItDoesNotKnow) {
  EXPECT_EQ(probe({}).error().code, Errc::not_recognised);
  EXPECT_EQ(probe({{0, "LUKS\xba\xbe"}}).error().code, Errc::not_recognised);
  const Fd empty = *make_memory_file("empty");
  EXPECT_EQ(probe_file_system(empty.get()).error().code, Errc::not_recognised);
}

TEST(BlockDevice, NamesAreCheckedAndAbsentOnesTold) {
  EXPECT_EQ(find_device("vdb", std::chrono::seconds(0)).error().code, Errc::invalid);
  EXPECT_EQ(find_device("/etc/passwd", std::chrono::seconds(0)).error().code, Errc::invalid);
  EXPECT_EQ(find_device("UUID=none", std::chrono::seconds(0)).error().code, Errc::not_found);
  EXPECT_EQ(find_device("/dev/null", std::chrono::seconds(0)), "/dev/null");
}

}  // namespace
}  // namespace vmcore::guest::save
