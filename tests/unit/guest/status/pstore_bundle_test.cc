// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/status/pstore_bundle.h"

#include <gtest/gtest.h>

namespace vmcore::guest::status {
namespace {

TEST(PstoreBundle, IsTheLogOfTheNewestEventInTheOrderOfTime) {
  const PstoreBundle bundle = bundle_of({
      {"console-ramoops-0", "Panic#1 Part1\nno record of a crash\n"},
      {"dmesg-erst-1", "Oops#1 Part1\n<1>[    1.0] BUG: kernel NULL pointer dereference\n"},
      {"dmesg-erst-2",
       "Panic#2 Part1\n<0>[    3.0] Kernel panic - not syncing: sysrq\n<4>[ 3.1] x"},
      {"dmesg-erst-3", "Panic#2 Part2\n<6>[    2.0] before\n"},
      {"dmesg-erst-4.enc.z", "Panic#2 Part3\n\x78\x9c"},
  });
  EXPECT_EQ(bundle.log,
            "<6>[    2.0] before\n<0>[    3.0] Kernel panic - not syncing: sysrq\n<4>[ 3.1] x\n");
  EXPECT_EQ(bundle.reason, "Kernel panic - not syncing: sysrq");
}

TEST(PstoreBundle, OfAnOopsThatTheKernelSurvived) {
  const PstoreBundle bundle = bundle_of({
      {"dmesg-efi-1", "Oops#1 Part1\n<1>[    1.0] BUG: the first\n"},
      {"dmesg-efi-2", "Oops#2 Part1\n<1>[    2.0] BUG: the second\n"},
  });
  EXPECT_EQ(bundle.log, "<1>[    2.0] BUG: the second\n");
  EXPECT_EQ(bundle.reason, "BUG: the second");
}

TEST(PstoreBundle, IsEmptyWithoutALog) {
  EXPECT_EQ(bundle_of({}).log, "");
  for (const char* text :
       {"", "\n", "Panic#", "Panic#x Party\nlog", "Part1 Panic#1\nlog", "#1 Part\n"}) {
    EXPECT_EQ(bundle_of({{"dmesg-erst-1", text}}).log, "") << text;
  }
}

}  // namespace
}  // namespace vmcore::guest::status
