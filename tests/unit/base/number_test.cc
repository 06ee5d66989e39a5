// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/number.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace vmcore {
namespace {

TEST(Number, IsAllOfTheText) {
  EXPECT_EQ(parse_number<int>("-12"), -12);
  EXPECT_EQ(parse_number<std::uint64_t>("ffffffffffffffff", 16), ~std::uint64_t{0});
  for (const char* text : {"", " 1", "1 ", "+1", "0x1", "1.5", "one"}) {
    EXPECT_FALSE(parse_number<int>(text)) << text;
  }
}

TEST(Number, FitsIntoItsType) {
  EXPECT_EQ(parse_number<std::uint8_t>("255"), 255);
  EXPECT_FALSE(parse_number<std::uint8_t>("256"));
  EXPECT_FALSE(parse_number<unsigned>("-1"));
  EXPECT_FALSE(parse_number<std::uint64_t>("10000000000000000", 16));
}

TEST(Number, IsTakenOffTheFront) {
  std::string_view text = "7f00-8000 rw";
  EXPECT_EQ(take_number<std::uint64_t>(text, 16), 0x7f00U);
  EXPECT_EQ(text, "-8000 rw");
  EXPECT_FALSE(take_number<unsigned>(text));
  EXPECT_EQ(text, "-8000 rw");
}

}  // namespace
}  // namespace vmcore
