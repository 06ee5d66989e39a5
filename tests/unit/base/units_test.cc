// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/units.h"

#include <gtest/gtest.h>

namespace vmcore {
namespace {

using std::chrono::seconds;

TEST(Units, Durations) {
  EXPECT_EQ(parse_duration("90s"), seconds(90));
  EXPECT_EQ(parse_duration("15m"), seconds(900));
  EXPECT_EQ(parse_duration("7d"), seconds(604'800));
  for (const char* const wrong : {"", "s", "15", "-1s", "+1s", " 1s", "1s ", "1.5h", "1w", "1S",
                                  "99999999999999999999s", "18446744073709551615d", "1000001d"}) {
    EXPECT_EQ(parse_duration(wrong), std::nullopt) << wrong;
  }
}

TEST(Units, Sizes) {
  EXPECT_EQ(parse_size("20GiB"), 20ULL << 30);
  EXPECT_EQ(parse_size("20G"), 20ULL << 30);
  EXPECT_EQ(parse_size("1B"), 1U);
  EXPECT_EQ(parse_size("16777215TiB"), 16'777'215ULL << 40);
  for (const char* const wrong :
       {"", "20", "20GB", "20gib", "1.5GiB", "-1B", "16777216TiB", "20 GiB", "GiB"}) {
    EXPECT_EQ(parse_size(wrong), std::nullopt) << wrong;
  }
}

TEST(Units, TextsAreReadAsTheSame) {
  for (const std::uint64_t bytes : {0ULL, 1ULL, 1023ULL, 1536ULL, 20ULL << 30, ~0ULL}) {
    EXPECT_EQ(parse_size(size_text(bytes)), bytes);
  }
  for (const int value : {0, 1, 60, 61, 3600, 86'400, 90'000}) {
    EXPECT_EQ(parse_duration(duration_text(seconds(value))), seconds(value));
  }
  EXPECT_EQ(size_text(1536ULL << 20), "1536MiB");
  EXPECT_EQ(duration_text(seconds(5400)), "90m");
}

TEST(Units, SizesForPeopleAreRounded) {
  EXPECT_EQ(human_size(0), "0 B");
  EXPECT_EQ(human_size(1023), "1023 B");
  EXPECT_EQ(human_size(1024), "1.0 KiB");
  EXPECT_EQ(human_size(12'900'000), "12.3 MiB");
  EXPECT_EQ(human_size(~0ULL), "16777216.0 TiB");
}

}  // namespace
}  // namespace vmcore
