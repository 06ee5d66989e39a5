// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/snapshot_spool.h"

#include <gtest/gtest.h>

#include "src/base/sys.h"
#include "src/formats/byte_source.h"
#include "src/image/page.h"

namespace vmcore::sources {
namespace {

using formats::StreamBlock;
using sandbox::BlockPlace;

constexpr std::uint64_t kMiB = 1U << 20;

class Snapshot : public testing::Test {
 protected:
  // RAM of 1 MiB, a hole, and 2 MiB more of the same block; firmware that has its own.
  Snapshot() {
    ram_.add({{0}, kMiB});
    ram_.add({{8 * kMiB}, 2 * kMiB});
    ram_.add({{15 * kMiB}, 2 * kPageSize});
    places_ = {{{{0}, kMiB}, "ram0", 0},
               {{{8 * kMiB}, 2 * kMiB}, "ram0", kMiB},
               {{{15 * kMiB}, 4 * kPageSize}, "pc.bios", kPageSize}};
  }

  SnapshotSpool& spool() {
    spool_.emplace(file_.get(), ram_, places_, [](std::uint64_t) { return Result<>(); });
    return *spool_;
  }
  static Result<> put(SnapshotSpool& spool, std::size_t block, std::uint64_t offset, char fill) {
    const std::vector<std::byte> page(kPageSize, static_cast<std::byte>(fill));
    return spool.page(block, offset, fill == '0' ? std::span<const std::byte>() : page);
  }
  // The first bytes of pages as memory has them: '.' for zero, '!' for what cannot be read.
  std::string seen(SnapshotSpool& spool, const std::vector<std::uint64_t>& addresses) {
    const auto segments = spool.finish();
    EXPECT_TRUE(segments);
    const formats::ElfMemory memory(*formats::open_plain(*duplicate(file_.get())), *segments);
    std::string text;
    for (const std::uint64_t address : addresses) {
      std::array<std::byte, kPageSize> page;
      const auto got = memory.read({address}, page);
      text += !got || got->good < kPageSize ? '!'
              : page.back() == std::byte{0} ? '.'
                                            : static_cast<char>(page.back());
    }
    lost_ = memory.lost_bytes();
    return text;
  }

  RangeSet ram_;
  std::vector<BlockPlace> places_;
  std::vector<StreamBlock> blocks_{{"ram0", 3 * kMiB}, {"0000:00:1f.0/pc.bios", 8 * kPageSize}};
  Fd file_ = *make_memory_file("spool");
  std::optional<SnapshotSpool> spool_;
  std::uint64_t lost_ = 0;
};

void fill_rest(SnapshotSpool& spool) {
  for (std::uint64_t offset = 0; offset < 3 * kMiB; offset += kPageSize) {
    ASSERT_TRUE(spool.page(0, offset, {}));
  }
  for (std::uint64_t offset = 0; offset < 8 * kPageSize; offset += kPageSize) {
    ASSERT_TRUE(spool.page(1, offset, {}));
  }
}

TEST_F(Snapshot, LiesAtGuestPhysicalAddresses) {
  SnapshotSpool& spool = this->spool();
  ASSERT_TRUE(spool.blocks(blocks_));
  fill_rest(spool);
  ASSERT_TRUE(put(spool, 0, 0, 'a'));
  ASSERT_TRUE(put(spool, 0, kPageSize, 'b'));
  ASSERT_TRUE(put(spool, 0, kMiB, 'c'));
  ASSERT_TRUE(put(spool, 0, 3 * kMiB - kPageSize, 'd'));
  ASSERT_TRUE(put(spool, 1, 0, 'x'));  // no guest sees it
  ASSERT_TRUE(put(spool, 1, kPageSize, 'e'));
  EXPECT_EQ(seen(spool, {0, kPageSize, 2 * kPageSize, 8 * kMiB, 10 * kMiB - kPageSize, 15 * kMiB,
                         2 * kMiB}),
            "ab.cde!");
  EXPECT_EQ(spool.missing_pages(), 0U);
  EXPECT_EQ(lost_, 0U);
  EXPECT_TRUE(spool.left_out().empty());
}

TEST_F(Snapshot, HasTheLastOfRepeatedPages) {
  SnapshotSpool& spool = this->spool();
  ASSERT_TRUE(spool.blocks(blocks_));
  fill_rest(spool);
  ASSERT_TRUE(put(spool, 0, 0, 'a'));
  ASSERT_TRUE(put(spool, 0, 0, 'b'));
  ASSERT_TRUE(put(spool, 0, kPageSize, 'a'));
  ASSERT_TRUE(put(spool, 0, kPageSize, '0'));
  EXPECT_EQ(seen(spool, {0, kPageSize}), "b.");
}

TEST_F(Snapshot, TellsThePagesThatNeverCame) {
  SnapshotSpool& spool = this->spool();
  ASSERT_TRUE(spool.blocks(blocks_));
  ASSERT_TRUE(put(spool, 0, kPageSize, 'a'));
  ASSERT_TRUE(put(spool, 0, 2 * kPageSize, '0'));
  EXPECT_EQ(seen(spool, {0, kPageSize, 2 * kPageSize, 3 * kPageSize, 8 * kMiB}), "!a.!!");
  EXPECT_EQ(spool.missing_pages(), 3 * kMiB / kPageSize + 2 - 2);
  EXPECT_EQ(lost_, spool.missing_pages() * kPageSize);
}

TEST_F(Snapshot, ShowsABlockInTwoPlaces) {
  ram_.add({{14 * kMiB}, kPageSize});
  places_.push_back({{{14 * kMiB}, kPageSize}, "pc.bios", kPageSize});
  SnapshotSpool& spool = this->spool();
  ASSERT_TRUE(spool.blocks(blocks_));
  fill_rest(spool);
  ASSERT_TRUE(put(spool, 1, kPageSize, 'e'));
  EXPECT_EQ(seen(spool, {14 * kMiB, 15 * kMiB}), "ee");
}

TEST_F(Snapshot, NeedsThePlacesOfAllRam) {
  places_.erase(places_.begin() + 1);
  EXPECT_EQ(spool().blocks(blocks_).error().code, Errc::unsupported);
}

TEST_F(Snapshot, NeedsTheBlocksOfAllRam) {
  blocks_[0].name = "other";
  EXPECT_EQ(spool().blocks(blocks_).error().code, Errc::unsupported);
  blocks_[0] = {"ram0", 2 * kMiB};  // too small for the second place
  EXPECT_EQ(spool().blocks(blocks_).error().code, Errc::unsupported);
}

TEST_F(Snapshot, LeavesOutFirmwareWithoutABlock) {
  blocks_.pop_back();
  SnapshotSpool& spool = this->spool();
  ASSERT_TRUE(spool.blocks(blocks_));
  EXPECT_EQ(spool.left_out().size(), 2 * kPageSize);
}

TEST_F(Snapshot, DoesNotGuessBetweenTwoDevices) {
  blocks_.push_back({"0000:00:02.0/pc.bios", 8 * kPageSize});
  SnapshotSpool& spool = this->spool();
  ASSERT_TRUE(spool.blocks(blocks_));
  EXPECT_EQ(spool.left_out().size(), 2 * kPageSize);
}

}  // namespace
}  // namespace vmcore::sources
