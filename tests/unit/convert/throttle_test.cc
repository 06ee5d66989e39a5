// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/throttle.h"

#include <gtest/gtest.h>

namespace vmcore::convert {
namespace {

using Clock = Throttle::Clock;
using std::chrono::seconds;

TEST(Throttle, NoLimitNeverWaits) {
  Throttle throttle(0);
  const auto now = Clock::now();
  EXPECT_EQ(throttle.take(1ULL << 50, now), now);
  EXPECT_EQ(throttle.take(1, now), now);
}

TEST(Throttle, SpreadsBytesOverTime) {
  Throttle throttle(100);
  const auto now = Clock::now();
  EXPECT_EQ(throttle.take(200, now), now);
  EXPECT_EQ(throttle.take(300, now), now + seconds(2));
  EXPECT_EQ(throttle.take(1, now + seconds(1)), now + seconds(5));
}

TEST(Throttle, TimeThatWasNotUsedIsNotSaved) {
  Throttle throttle(100);
  const auto now = Clock::now();
  throttle.take(100, now);
  EXPECT_EQ(throttle.take(100, now + seconds(60)), now + seconds(60));
  EXPECT_EQ(throttle.take(100, now + seconds(60)), now + seconds(61));
}

}  // namespace
}  // namespace vmcore::convert
