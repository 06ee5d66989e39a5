// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/dump_time.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace vmcore::guest::save {
namespace {

TEST(DumpTime, IsUtc) { EXPECT_EQ(dump_time(1795287093), "2026-11-21-185133"); }

TEST(DumpTime, HasItsFormWhateverTheClockSays) {
  EXPECT_EQ(dump_time(INT64_MIN), "1970-01-01-000000");
  EXPECT_EQ(dump_time(INT64_MAX), "9999-12-31-235959");
}

TEST(DumpTime, IsKnownAgain) {
  EXPECT_TRUE(is_dump_time(dump_time(0)));
  EXPECT_TRUE(is_dump_time("2026-11-21-185133.1"));
  EXPECT_FALSE(is_dump_time("2026-11-21"));
  EXPECT_FALSE(is_dump_time("2026-11-21 185133"));
}

}  // namespace
}  // namespace vmcore::guest::save
