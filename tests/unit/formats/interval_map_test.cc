// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/interval_map.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <tuple>

namespace vmcore::formats {
namespace {

TEST(IntervalMap, JoinsNeighboursThatGoOnInTheTarget) {
  const IntervalMap map({{10, 5, 100, 0, 0}, {15, 5, 105, 0, 1}, {20, 5, 200, 0, 2}});
  EXPECT_EQ(map.mappings().size(), 2U);
  EXPECT_EQ(map.find(14), map.find(15));
  EXPECT_EQ(map.find(9), nullptr);
  EXPECT_EQ(map.find(25), nullptr);
  EXPECT_EQ(map.next_begin(0, 99), 10U);
  EXPECT_EQ(map.next_begin(20, 99), 99U);
  EXPECT_EQ(map.end(), 25U);
}

TEST(IntervalMap, AgreesWithAMapOfSingleAddresses) {
  std::mt19937 random(1);
  const auto below = [&](std::uint32_t limit) {
    return static_cast<std::uint32_t>(random() % limit);
  };
  for (int round = 0; round < 500; ++round) {
    std::vector<Mapping> mappings;
    std::map<std::uint64_t, Mapping> expected;
    const std::uint32_t count = below(20);
    for (std::uint32_t i = 0; i < count; ++i) {
      const Mapping mapping{below(100), below(30), below(1000), below(3), i};
      mappings.push_back(mapping);
      for (std::uint64_t at = mapping.begin; at < mapping.end(); ++at) {
        const auto [have, added] = expected.try_emplace(at, mapping);
        if (std::tie(mapping.kind, mapping.order) <
            std::tie(have->second.kind, have->second.order)) {
          have->second = mapping;
        }
      }
    }
    const IntervalMap map(mappings);
    for (std::uint64_t at = 0; at < 140; ++at) {
      const Mapping* found = map.find(at);
      const auto wanted = expected.find(at);
      ASSERT_EQ(found != nullptr, wanted != expected.end());
      if (found) {
        EXPECT_EQ(found->kind, wanted->second.kind);
        EXPECT_EQ(found->target + (at - found->begin),
                  wanted->second.target + (at - wanted->second.begin));
      }
    }
  }
}

}  // namespace
}  // namespace vmcore::formats
