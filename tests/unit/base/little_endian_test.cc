// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/little_endian.h"

#include <gtest/gtest.h>

#include <array>

namespace vmcore {
namespace {

struct Structure {
  unsigned char first;
  ul32 second;
  il64 third;
};
static_assert(sizeof(Structure) == 13 && alignof(Structure) == 1);

TEST(Little, ConvertsBothWays) {
  Structure structure{1, 0x04030201, -2};
  const auto bytes = as_bytes(structure);
  EXPECT_EQ(bytes[1], std::byte{1});
  EXPECT_EQ(bytes[4], std::byte{4});
  EXPECT_EQ(bytes[5], std::byte{0xfe});
  EXPECT_EQ(structure.third, -2);
  structure.second = 7;
  EXPECT_EQ(std::uint32_t{structure.second}, 7U);
}

TEST(Load, RefusesWhatDoesNotFit) {
  const std::array<std::byte, 8> bytes{std::byte{1}};
  EXPECT_EQ(load<std::uint64_t>(bytes, 0), 1U);
  EXPECT_EQ(load<std::uint32_t>(bytes, 4), 0U);
  EXPECT_FALSE(load<std::uint32_t>(bytes, 5));
  EXPECT_FALSE(load<std::uint32_t>(bytes, 9));
  EXPECT_FALSE(load<std::uint32_t>(bytes, ~0ULL));
}

}  // namespace
}  // namespace vmcore
