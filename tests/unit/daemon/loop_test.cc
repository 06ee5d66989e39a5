// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/loop.h"

#include <gtest/gtest.h>
#include <pthread.h>
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

// A stack for which there is no room: the thread cannot be started.
class NoThreads {
 public:
  NoThreads() {
    pthread_attr_t huge;
    ::pthread_attr_init(&huge);
    ::pthread_attr_setstacksize(&huge, std::size_t{1} << 47);
    ::pthread_getattr_default_np(&before_);
    EXPECT_EQ(::pthread_setattr_default_np(&huge), 0);
  }
  ~NoThreads() { ::pthread_setattr_default_np(&before_); }
  NoThreads(const NoThreads&) = delete;
  NoThreads& operator=(const NoThreads&) = delete;

 private:
  pthread_attr_t before_{};
};

TEST_F(LoopTest, WorkWaitsForAThreadThatCannotBeStarted) {
  int done = 0;
  {
    const NoThreads none;
    for (int i = 0; i < 2; ++i) {
      loop.in_background<int>([] { return 1; }, [&](int one) { done += one; });
    }
    run_once();
    EXPECT_EQ(done, 0);
  }
  const auto end = Loop::Clock::now() + std::chrono::seconds(20);
  while (done < 2 && Loop::Clock::now() < end) {
    ASSERT_TRUE(loop.run_once(milliseconds(100)));
  }
  EXPECT_EQ(done, 2);
}

// The loop was blocked for a minute: what was due meanwhile is called once, in its order.
TEST_F(LoopTest, AMinuteThatWasMissedIsCaughtUp) {
  std::string order;
  const auto now = Loop::Clock::now();
  for (int second = 59; second >= 0; --second) {
    loop.at(now - std::chrono::seconds(second),
            [&, second] { order += std::to_string(second % 10); });
  }
  int ticks = 0;
  std::function<void()> each_second = [&] {
    ++ticks;
    loop.after(std::chrono::seconds(1), each_second);
  };
  loop.at(now - std::chrono::minutes(1), each_second);
  run_once();
  run_once();
  EXPECT_EQ(order.size(), 60U);
  EXPECT_TRUE(order.starts_with("987654"));
  EXPECT_EQ(ticks, 1);
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
