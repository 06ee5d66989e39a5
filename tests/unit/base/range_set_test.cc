// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/range_set.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace vmcore {
namespace {

PhysRange range(std::uint64_t begin, std::uint64_t size) { return {{begin}, size}; }

TEST(RangeSet, JoinsWhatTouches) {
  RangeSet set;
  set.add(range(10, 5));
  set.add(range(20, 5));
  EXPECT_EQ(set.ranges().size(), 2U);
  set.add(range(15, 5));
  EXPECT_EQ(set.ranges(), std::vector{range(10, 15)});
  set.add(range(0, 100));
  EXPECT_EQ(set.ranges(), std::vector{range(0, 100)});
}

TEST(RangeSet, AnEmptyRangeChangesNothing) {
  RangeSet set;
  set.add(range(10, 0));
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.contains({10}));
}

TEST(RangeSet, AgreesWithASetOfAddresses) {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    RangeSet set;
    std::set<std::uint64_t> expected;
    for (unsigned i = 0; i < random() % 20; ++i) {
      const PhysRange added = range(random() % 200, random() % 20);
      set.add(added);
      for (std::uint64_t at = added.begin.value; at < added.end().value; ++at) {
        expected.insert(at);
      }
    }
    EXPECT_EQ(set.size(), expected.size());
    for (std::uint64_t at = 0; at < 230; ++at) {
      ASSERT_EQ(set.contains({at}), expected.contains(at)) << at;
    }
    for (std::size_t i = 1; i < set.ranges().size(); ++i) {
      EXPECT_LT(set.ranges()[i - 1].end(), set.ranges()[i].begin);
    }
  }
}

}  // namespace
}  // namespace vmcore
