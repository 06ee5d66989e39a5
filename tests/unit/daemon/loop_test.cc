// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "src/base/pipe.h"

namespace vmcore::daemon {
namespace {

using std::chrono::milliseconds;

struct LoopTest : testing::Test {
  Loop loop;
  Pipe pipe = *make_pipe();

  void run_once() { ASSERT_TRUE(loop.run_once(milliseconds(0))); }
  void write(const char* text) { ASSERT_EQ(::write(pipe.in.get(), text, 1), 1); }
};

TEST_F(LoopTest, CallsWhatBelongsToADescriptorAsLongAsItCanBeRead) {
  int calls = 0;
  loop.watch(pipe.out.get(), [&] { ++calls; });
  run_once();
  EXPECT_EQ(calls, 0);
  write("a");
  run_once();
  run_once();
  EXPECT_EQ(calls, 2);
  loop.forget(pipe.out.get());
  run_once();
  EXPECT_EQ(calls, 2);
}

TEST_F(LoopTest, ACallbackMayForgetItself) {
  int calls = 0;
  loop.watch(pipe.out.get(), [&] {
    ++calls;
    loop.forget(pipe.out.get());
  });
  write("a");
  run_once();
  run_once();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, ANumberThatIsUsedAgainIsAnotherDescriptor) {
  Pipe second = *make_pipe();
  const int first_fd = std::min(pipe.out.get(), second.out.get());
  const int second_fd = std::max(pipe.out.get(), second.out.get());
  int calls = 0;
  loop.watch(first_fd, [&] {
    loop.forget(first_fd);
    loop.watch(second_fd, [&] { ++calls; });
  });
  loop.watch(second_fd, [] { FAIL() << "it was replaced in this round"; });
  write("a");
  ASSERT_EQ(::write(second.in.get(), "a", 1), 1);
  run_once();
  EXPECT_EQ(calls, 0);
  run_once();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, TimersAreCalledInTheOrderOfTheirTimes) {
  std::string order;
  const auto now = Loop::Clock::now();
  loop.at(now, [&] { order += "b"; });
  loop.at(now - milliseconds(5), [&] { order += "a"; });
  const Loop::Timer never = loop.at(now, [&] { order += "x"; });
  loop.at(now - milliseconds(9), [&] { loop.cancel(never); });
  loop.after(std::chrono::hours(1), [&] { order += "later"; });
  run_once();
  EXPECT_EQ(order, "ab");
}

TEST_F(LoopTest, ATimerThatSetsItselfAgainLetsOthersHaveTheirTurn) {
  int calls = 0;
  std::function<void()> again = [&] {
    ++calls;
    loop.after(milliseconds(0), again);
  };
  loop.after(milliseconds(0), again);
  run_once();
  EXPECT_EQ(calls, 1);
}

TEST_F(LoopTest, WhatBlocksComesBackIntoTheLoop) {
  std::string result;
  loop.in_background<std::string>([] { return std::string("done"); },
                                  [&](const std::string& value) {
                                    result = value;
                                    loop.stop();
                                  });
  ASSERT_TRUE(loop.run());
  EXPECT_EQ(result, "done");
}

TEST_F(LoopTest, AThreadMayOutliveTheLoop) {
  const auto pipe_end = std::make_shared<Pipe>(std::move(pipe));
  Pipe ended = *make_pipe();
  const auto signal = std::make_shared<Fd>(std::move(ended.in));
  {
    Loop gone;
    gone.in_background<int>(
        [pipe_end, signal] {
          char byte = 0;
          return static_cast<int>(::read(pipe_end->out.get(), &byte, 1));
        },
        [](int) { FAIL() << "there is no loop"; });
  }
  ASSERT_EQ(::write(pipe_end->in.get(), "a", 1), 1);
}

}  // namespace
}  // namespace vmcore::daemon
