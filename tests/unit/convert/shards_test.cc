// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/shards.h"

#include "src/base/all_zero.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

std::uint64_t pages_of(const std::vector<PfnRange>& shard) {
  std::uint64_t sum = 0;
  for (const PfnRange& run : shard) {
    sum += run.count;
  }
  return sum;
}

TEST(ShardQueue, HandsOutEveryPageOnce) {
  PageSet pages;
  pages.insert({{7}, 3});
  pages.insert({{100}, 2 * kShardPages + 5});
  pages.insert({{100'000}, 1});
  ShardQueue queue(pages);
  PageSet seen;
  bool last = false;
  unsigned shards = 0;
  while (!last) {
    const auto shard = queue.claim(last);
    ASSERT_LE(pages_of(shard), kShardPages);
    for (const PfnRange& run : shard) {
      EXPECT_EQ(seen.next_run(run.first, run.end()).count, 0U);
      seen.insert(run);
    }
    ++shards;
  }
  EXPECT_EQ(shards, 3U);
  EXPECT_EQ(seen.count(), pages.count());
  EXPECT_TRUE(queue.claim(last).empty());
  EXPECT_TRUE(last);
}

TEST(ShardQueue, NothingIsTheLastShard) {
  const PageSet none;
  ShardQueue queue(none);
  bool last = false;
  EXPECT_TRUE(queue.claim(last).empty());
  EXPECT_TRUE(last);
}

TEST(ShardBuffer, CutsRunsAtLostPages) {
  auto ram = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 64 * 4096}});
  for (std::uint64_t pfn = 0; pfn < 64; ++pfn) {
    ram->write({pfn * 4096}, testing::page_pattern({pfn}));
  }
  const LossyMemory memory(std::move(ram), {3, 4, 10, 21});
  ShardBuffer buffer;
  const std::vector<PfnRange> shard{{{2}, 5}, {{10}, 1}, {{20}, 2}};
  ASSERT_TRUE(buffer.read(memory, shard, {}));
  EXPECT_EQ(buffer.lost(), 4U);
  ASSERT_EQ(buffer.runs().size(), 3U);
  EXPECT_EQ(buffer.runs()[0].first, Pfn{2});
  EXPECT_EQ(buffer.runs()[0].bytes.size(), 4096U);
  EXPECT_EQ(buffer.runs()[1].first, Pfn{5});
  EXPECT_EQ(buffer.runs()[1].bytes.size(), 2 * 4096U);
  EXPECT_TRUE(std::ranges::equal(buffer.runs()[1].bytes.last(4096), testing::page_pattern({6})));
  EXPECT_EQ(buffer.runs()[2].first, Pfn{20});
}

TEST(ShardBuffer, WhatIsKnownToBeZeroIsNotRead) {
  auto ram = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 64 * 4096}});
  for (std::uint64_t pfn = 0; pfn < 64; ++pfn) {
    ram->write({pfn * 4096}, testing::page_pattern({pfn}));
  }
  const LossyMemory memory(std::move(ram), {9}, 4);
  PageSet zero;
  zero.insert({{3}, 2});
  zero.insert({{12}, 30});
  ShardBuffer buffer;
  const std::vector<PfnRange> shard{{{2}, 12}, {{20}, 2}};
  const auto read = buffer.read(memory, shard, zero);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(buffer.lost(), 1U);
  std::string told;
  for (const formats::PageRun& run : buffer.runs()) {
    const bool zeros = all_zero(run.bytes);
    told += fmt::format("{}+{}{} ", run.first.value, run.bytes.size() / 4096, zeros ? "z" : "");
    for (std::size_t at = 0; at < run.bytes.size() && !zeros; at += 4096) {
      EXPECT_TRUE(std::ranges::equal(run.bytes.subspan(at, 4096),
                                     testing::page_pattern(run.first + at / 4096)));
    }
  }
  EXPECT_EQ(told, "2+1 3+2z 5+4 10+2 12+2z 20+2z ");
}

}  // namespace
}  // namespace vmcore::convert
