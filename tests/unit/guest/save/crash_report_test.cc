// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/crash_report.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::guest::save {
namespace {

using testing::GuestBuilder;

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(CrashReport, BeginsWithTheFirstMessageOfTheCrash) {
  GuestBuilder guest("6.12");
  guest.log(0, "Linux version test")
      .log(100 * kSecond, "BUG: unable to handle page fault for address: 1")
      .log(100 * kSecond + 1, "Oops: 0000 [#1] SMP")
      .log(102 * kSecond, "Kernel panic - not syncing: Fatal exception");
  const MemoryImage image = guest.build();
  const CrashReport report = read_crash(image);
  EXPECT_EQ(report.release, "6.12.0-test");
  EXPECT_EQ(report.reason, "BUG: unable to handle page fault for address: 1");
  EXPECT_TRUE(report.dmesg.starts_with("[    0.000000] Linux version test\n"));
  EXPECT_TRUE(report.stack.starts_with("[  100.000000] BUG: unable"));
  EXPECT_TRUE(report.stack.ends_with("Fatal exception\n"));
}

TEST(CrashReport, WhatTheKernelSurvivedIsNoReason) {
  GuestBuilder guest("6.1");
  guest.log(0, "Linux version test")
      .log(10 * kSecond, "BUG: scheduling while atomic: swapper/0/0/0x00000002")
      .log(500 * kSecond, "Kernel panic - not syncing: hung_task: blocked tasks");
  const MemoryImage image = guest.build();
  const CrashReport report = read_crash(image);
  EXPECT_EQ(report.reason, "Kernel panic - not syncing: hung_task: blocked tasks");
  EXPECT_EQ(report.stack.find("scheduling"), std::string::npos);
}

TEST(CrashReport, ALogThatTellsNothingIsKeptAllTheSame) {
  GuestBuilder guest("6.1");
  guest.log(0, "Linux version test");
  const MemoryImage image = guest.build();
  const CrashReport report = read_crash(image);
  EXPECT_EQ(report.reason, "");
  EXPECT_EQ(report.stack, "");
  EXPECT_NE(report.dmesg, "");
}

// Newlines become 16 bytes each: what is too much goes from the front, and the message of the crash
// is found behind it.
TEST(CrashReport, OfAVeryLongLogTheEndIsKept) {
  constexpr std::uint64_t kIdMask = ~0ULL >> 2;
  constexpr std::uint64_t kRecords = 40;
  constexpr PhysAddr kText{32ULL << 20};
  GuestBuilder guest("6.1");
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    guest.log(kSecond, "x");
  }
  const MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  const auto physical = [](std::uint64_t at) { return PhysAddr{at - 0xffff'ffff'8000'0000}; };
  const auto read = [&](std::uint64_t at) {
    std::uint64_t value = 0;
    EXPECT_TRUE(read_exactly(memory, physical(at), std::as_writable_bytes(std::span(&value, 1))));
    return value;
  };
  const std::uint64_t ring = read(guest.symbol("prb").value);
  memory.write_value(physical(ring + 48), std::uint32_t{22});  // 4 MiB of text
  memory.write_value(physical(ring + 56), guest.page_offset().value + kText.value);
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    const std::string text =
        i == 33 ? "Kernel panic - not syncing: out of lines" : std::string(60'000, '\n');
    const std::uint64_t id = (kIdMask - 1 + i) & kIdMask;
    const std::uint64_t place = i << 16;
    memory.write_value(physical(read(ring + 8) + id % 64 * 24 + 8), place);
    memory.write_value(physical(read(ring + 8) + id % 64 * 24 + 16), place + 8 + text.size());
    memory.write_value(physical(read(ring + 16) + id % 64 * 88 + 16),
                       static_cast<std::uint16_t>(text.size()));
    memory.write_value(kText + place, id);
    memory.write(kText + (place + 8), std::as_bytes(std::span(text)));
  }
  const CrashReport report = read_crash(image);
  EXPECT_EQ(report.reason, "Kernel panic - not syncing: out of lines");
  EXPECT_TRUE(
      report.stack.starts_with("[    1.000000] Kernel panic - not syncing: out of lines\n"));
  EXPECT_LE(report.dmesg.size(), 8U << 20);
  EXPECT_GE(report.dmesg.size(), 7U << 20);
}

TEST(CrashReport, AKernelThatIsNotFoundIsARemark) {
  GuestBuilder guest("6.1");
  guest.vmcoreinfo("OSRELEASE", "another").cpus({});
  const MemoryImage image = guest.build();
  const CrashReport report = read_crash(image);
  EXPECT_EQ(report.dmesg, "");
  EXPECT_FALSE(report.remarks.empty());
}

TEST(NewestLines, BeginAtALine) {
  EXPECT_EQ(newest_lines("one\ntwo\nthree\n", 100), "one\ntwo\nthree\n");
  EXPECT_EQ(newest_lines("one\ntwo\nthree\n", 10), "two\nthree\n");
  EXPECT_EQ(newest_lines("one\ntwo\nthree\n", 9), "three\n");
  EXPECT_EQ(newest_lines("one\ntwo\nthree\n", 3), "ee\n");  // better than nothing
  EXPECT_EQ(newest_lines("one\ntwo\nthree\n", 0), "");
}

}  // namespace
}  // namespace vmcore::guest::save
