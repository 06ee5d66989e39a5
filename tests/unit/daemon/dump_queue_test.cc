// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/dump_queue.h"

#include <gtest/gtest.h>

namespace vmcore::daemon {
namespace {

TEST(DumpQueueTest, NoMoreThanTheLimitHaveATurn) {
  DumpQueue queue(2);
  for (const char* guest : {"a", "b", "c"}) {
    queue.add(guest);
  }
  EXPECT_EQ(queue.next(), "a");
  EXPECT_EQ(queue.next(), "b");
  EXPECT_EQ(queue.next(), std::nullopt);
  queue.remove("a");
  EXPECT_EQ(queue.next(), "c");
}

TEST(DumpQueueTest, AGuestThatCrashesAgainComesAfterThoseThatWait) {
  DumpQueue queue(1);
  queue.add("loop");
  EXPECT_EQ(queue.next(), "loop");
  queue.add("other");
  queue.remove("loop");
  queue.add("loop");
  EXPECT_EQ(queue.next(), "other");
}

TEST(DumpQueueTest, OneWhoseLastTurnIsLongestAgoComesFirst) {
  DumpQueue queue(1);
  for (const char* guest : {"b", "a"}) {
    queue.add(guest);
    EXPECT_EQ(queue.next(), guest);
    queue.remove(guest);
  }
  queue.add("a");
  queue.add("b");
  EXPECT_EQ(queue.next(), "b");
}

TEST(DumpQueueTest, OneThatDoesNotWaitAnyMoreHasNoTurn) {
  DumpQueue queue(1);
  queue.add("a");
  queue.remove("a");
  EXPECT_EQ(queue.next(), std::nullopt);
}

TEST(DumpQueueTest, AHigherLimitGivesMoreTurns) {
  DumpQueue queue(1);
  queue.add("a");
  queue.add("b");
  EXPECT_EQ(queue.next(), "a");
  queue.set_most(2);
  EXPECT_EQ(queue.next(), "b");
}

}  // namespace
}  // namespace vmcore::daemon
