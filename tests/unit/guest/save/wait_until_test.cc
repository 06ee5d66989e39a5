// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/wait_until.h"

#include <gtest/gtest.h>

namespace vmcore::guest::save {
namespace {

using std::chrono::seconds;

TEST(WaitUntil, LooksOnceEvenWithoutTime) {
  EXPECT_TRUE(wait_until([] { return true; }, seconds(0)));
  int looks = 0;
  EXPECT_FALSE(wait_until([&] { return ++looks == 2; }, seconds(0)));
  EXPECT_EQ(looks, 1);
}

TEST(WaitUntil, SaysThatItIsAliveAfterEachLookInVain) {
  int looks = 0;
  int heartbeats = 0;
  EXPECT_TRUE(wait_until([&] { return ++looks == 3; }, seconds(60), [&] { ++heartbeats; }));
  EXPECT_EQ(heartbeats, 2);
}

}  // namespace
}  // namespace vmcore::guest::save
