#include "guest/save/crash_report.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::guest {
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
}  // namespace vmcore::guest
