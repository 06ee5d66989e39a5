// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/early_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "src/base/little_endian.h"
#include "tests/builders/kernel_memory.h"

namespace vmcore::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr PhysAddr kText{0x201008}, kInfos{0x300010};
const std::vector<std::string> kLines = {"Linux version 6.1.0 (x)", "Command line: a",
                                         "Kernel panic - not syncing: IO-APIC"};

// The ring as kernel/printk/printk_ringbuffer.c writes it, from its first record on.
struct Ring {
  void write_texts(PhysAddr address, std::uint64_t first_id, std::span<const std::string> lines) {
    for (const std::string& line : lines) {
      memory.write_value(address, ul64(first_id++));
      memory.write(address + 8, std::as_bytes(std::span(line)));
      address = address + (8 + (line.size() + 7) / 8 * 8);
    }
  }
  void write_infos(PhysAddr address, std::size_t stride) {
    for (std::size_t i = 0; i < kLines.size(); ++i) {
      const PhysAddr info = address + i * stride;
      memory.write_value(info, ul64(i));
      memory.write_value(info + 8, ul64(1000 * i));
      memory.write_value(info + 16, ul16(static_cast<std::uint16_t>(kLines[i].size())));
      memory.write_value(info + 19, std::uint8_t{6 << 5});
      memory.write_value(info + 20, ul32(0x80000001));
    }
  }
  std::vector<std::string> read() {
    std::vector<std::string> lines;
    result = read_early_log(memory, [&](const LogRecord& record) {
      lines.emplace_back(record.text);
      last = record;
      last.text = {};
      return true;
    });
    return lines;
  }

  testing::SparseMemory memory{{{{0}, 8ULL << 20}}};
  Result<LogSummary> result;
  LogRecord last;
};

constexpr std::uint64_t kFirstId = (1ULL << 62) - 8192;

TEST(EarlyLogTest, ARingIsFoundByItsContent) {
  for (const std::size_t stride : {88U, 112U}) {
    Ring ring;
    ring.write_texts(kText, kFirstId, kLines);
    ring.write_infos(kInfos, stride);
    EXPECT_EQ(ring.read(), kLines);
    EXPECT_EQ(ring.result->records, 3U);
    EXPECT_EQ(ring.last.nanoseconds, 2000U);
    EXPECT_EQ(ring.last.level, 6U);
    EXPECT_EQ(ring.last.caller, 0x80000001);
    EXPECT_TRUE(ring.result->callers);
  }
}

// As kernels before v7.0 count.
TEST(EarlyLogTest, TheFirstIdMayHave32Bits) {
  Ring ring;
  ring.write_texts(kText, (1ULL << 32) - 4096, kLines);
  ring.write_infos(kInfos, 88);
  EXPECT_EQ(ring.read(), kLines);
  EXPECT_EQ(ring.last.nanoseconds, 2000U);
}

// printk takes the level and the newline away when the text stands in its block already.
TEST(EarlyLogTest, TextsEndWhereTheTableSays) {
  Ring ring;
  std::vector<std::string> blocks;
  for (const std::string& line : kLines) {
    blocks.push_back(line + line.substr(line.size() - 2) + "\n");
  }
  ring.write_texts(kText, kFirstId, blocks);
  ring.write_infos(kInfos, 88);
  EXPECT_EQ(ring.read(), kLines);
  EXPECT_EQ(ring.last.nanoseconds, 2000U);
}

TEST(EarlyLogTest, OtherIdsBeginNoRing) {
  for (const std::uint64_t id : {1ULL << 32, (1ULL << 32) - 3, (1ULL << 62) - 3, 1ULL << 62}) {
    Ring ring;
    ring.write_texts(kText, id, kLines);
    EXPECT_THAT(ring.read(), IsEmpty()) << id;
  }
}

TEST(EarlyLogTest, WithoutInfosThereIsNoTime) {
  Ring ring;
  ring.write_texts(kText, kFirstId, kLines);
  EXPECT_EQ(ring.read(), kLines);
  EXPECT_EQ(ring.last.nanoseconds, 0U);
  EXPECT_FALSE(ring.last.caller);
  EXPECT_FALSE(ring.result->callers);
}

TEST(EarlyLogTest, IdsPassZero) {
  Ring ring;
  ring.write_texts(kText, kFirstId, std::vector<std::string>(kLines.begin(), kLines.begin() + 1));
  ring.write_texts(kText + 32, kFirstId + 1,
                   std::vector<std::string>(kLines.begin() + 1, kLines.end()));
  EXPECT_EQ(ring.read(), kLines);
}

TEST(EarlyLogTest, TheLongestRingCounts) {
  Ring ring;
  ring.write_texts(kText, kFirstId, std::vector<std::string>(kLines.begin(), kLines.begin() + 2));
  ring.write_texts({0x400000}, kFirstId, kLines);
  EXPECT_EQ(ring.read(), kLines);
}

TEST(EarlyLogTest, NoRing) {
  Ring ring;
  EXPECT_THAT(ring.read(), IsEmpty());
  EXPECT_EQ(ring.result.error().code, Errc::not_found);
  ring.write_texts(kText, 7, kLines);  // no id of a ring
  EXPECT_THAT(ring.read(), IsEmpty());
}

TEST(EarlyLogTest, MemoryThatEndsInTheRing) {
  Ring ring;
  ring.memory.exclude({0x202});
  ring.write_texts({0x202000 - 32}, kFirstId, kLines);
  EXPECT_THAT(ring.read(), ElementsAre(kLines[0]));
}

TEST(EarlyLogTest, HostileMemoryIsBounded) {
  Ring ring;
  for (std::uint64_t at = 0; at < 4ULL << 20; at += 32) {
    ring.write_texts({at}, kFirstId + at / 32, {kLines.begin(), kLines.begin() + 1});
  }
  EXPECT_GT(ring.read().size(), 1000U);
}

}  // namespace
}  // namespace vmcore::kernel
