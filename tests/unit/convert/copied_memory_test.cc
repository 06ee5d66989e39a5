// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/copied_memory.h"

#include "src/convert/shards.h"
#include "src/image/page.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

constexpr std::uint64_t kPages = 64;

std::unique_ptr<testing::SparseMemory> patterned() {
  auto ram =
      std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, kPages * kPageSize}});
  for (std::uint64_t pfn = 0; pfn < kPages; ++pfn) {
    ram->write({pfn * kPageSize}, testing::page_pattern({pfn}));
  }
  return ram;
}

PageSet pages_of(std::initializer_list<PfnRange> runs) {
  PageSet pages;
  for (const PfnRange& run : runs) {
    pages.insert(run);
  }
  return pages;
}

// What the guest has is changed behind the copy's back: which of the two a page is read from.
std::string origins(const PhysicalMemory& memory) {
  std::string told;
  for (std::uint64_t pfn = 0; pfn < kPages; ++pfn) {
    told += page_at(memory, pfn) == testing::page_pattern({pfn}) ? 'c' : '.';
  }
  return told;
}

class CopiedMemoryTest : public ::testing::Test {
 protected:
  void change_all() {
    for (std::uint64_t pfn = 0; pfn < kPages; ++pfn) {
      ram_->write({pfn * kPageSize}, testing::page_pattern({pfn + 1000}));
    }
  }

  std::unique_ptr<testing::SparseMemory> ram_ = patterned();
  std::vector<std::byte> room_ = std::vector<std::byte>(16 * kPageSize + 100);
};

// The room has 16 pages and a little.
TEST_F(CopiedMemoryTest, OnlyWholePagesAreTaken) {
  CopiedMemory memory(*ram_, room_, 1);
  ASSERT_TRUE(memory.take(pages_of({{{3}, 20}})));
  EXPECT_EQ(memory.used(), 16 * kPageSize);
}

TEST_F(CopiedMemoryTest, WhatWasTakenIsReadFromTheCopy) {
  CopiedMemory memory(*ram_, room_, 2);
  ASSERT_TRUE(memory.take(pages_of({{{3}, 4}, {{20}, 2}})));
  change_all();
  EXPECT_EQ(origins(memory).substr(0, 24), "...cccc.............cc..");
  // One read across all of it.
  std::vector<std::byte> bytes(24 * kPageSize);
  const auto got = memory.read({0}, bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->good, bytes.size());
  for (const std::uint64_t pfn : {3U, 6U, 20U}) {
    EXPECT_TRUE(std::ranges::equal(std::span(bytes).subspan(pfn * kPageSize, kPageSize),
                                   testing::page_pattern({pfn})));
  }
  EXPECT_TRUE(std::ranges::equal(std::span(bytes).subspan(7 * kPageSize, kPageSize),
                                 testing::page_pattern({1007})));
  memory.forget();
  EXPECT_EQ(origins(memory), std::string(kPages, '.'));
}

TEST_F(CopiedMemoryTest, TakesOnlyWhatItLacksAndAsFarAsThereIsRoom) {
  CopiedMemory memory(*ram_, room_, 1);
  ASSERT_TRUE(memory.take(pages_of({{{8}, 8}})));
  change_all();
  ASSERT_TRUE(memory.take(pages_of({{{4}, 16}})));  // eight more fit
  EXPECT_EQ(memory.pages().count(), 16U);
  EXPECT_EQ(origins(memory).substr(8, 8), "cccccccc");
  ASSERT_TRUE(memory.take(pages_of({{{40}, 4}})));
  EXPECT_EQ(memory.pages().count(), 16U);
}

TEST_F(CopiedMemoryTest, LendsWhatLiesTogether) {
  CopiedMemory memory(*ram_, room_, 1);
  ASSERT_TRUE(memory.take(pages_of({{{8}, 2}, {{12}, 1}})));
  ASSERT_TRUE(memory.take(pages_of({{{10}, 1}})));
  const auto lent = [&](std::uint64_t pfn, std::uint64_t pages) {
    return memory.view({{pfn * kPageSize}, pages * kPageSize}).size() / kPageSize;
  };
  EXPECT_EQ(lent(8, 1), 1U);
  EXPECT_EQ(lent(8, 8), 2U);  // the third was taken later, and lies elsewhere
  EXPECT_EQ(lent(10, 8), 1U);
  EXPECT_EQ(lent(11, 1), 0U);
  EXPECT_EQ(lent(7, 8), 0U);
  EXPECT_TRUE(
      std::ranges::equal(memory.view({{10 * kPageSize}, kPageSize}), testing::page_pattern({10})));
}

TEST_F(CopiedMemoryTest, WhatCannotBeReadIsNotTaken) {
  const LossyMemory lossy(std::move(ram_), {5, 30});
  CopiedMemory memory(lossy, room_, 2);
  ASSERT_TRUE(memory.take(pages_of({{{2}, 6}, {{30}, 2}})));
  EXPECT_TRUE(memory.pages().contains({4}));
  EXPECT_FALSE(memory.pages().contains({5}));
  EXPECT_FALSE(memory.pages().contains({30}));
  EXPECT_TRUE(page_at(memory, 5).empty());
  EXPECT_EQ(page_at(memory, 6), testing::page_pattern({6}));
}

TEST_F(CopiedMemoryTest, ASourceThatBreaksIsAnError) {
  const LossyMemory lossy(std::move(ram_), {}, 7);
  CopiedMemory memory(lossy, room_, 2);
  EXPECT_FALSE(memory.take(pages_of({{{2}, 6}})));
}

}  // namespace
}  // namespace vmcore::convert
