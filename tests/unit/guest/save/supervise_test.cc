// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/supervise.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

namespace vmcore::guest::save {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Supervise, GivesWhatTheChildReturns) {
  EXPECT_EQ(supervise([](const Heartbeat&) { return 3; }, {}), 3);
}

TEST(Supervise, AChildThatCrashesIsAnError) {
  const auto code = supervise(
      [](const Heartbeat&) {
        ::raise(SIGKILL);
        return 0;
      },
      {});
  EXPECT_EQ(code.error().code, Errc::io);
  EXPECT_EQ(code.error().message, "the process was killed by signal 9");
}

TEST(Supervise, AChildThatIsSilentIsKilled) {
  const auto code = supervise(
      [](const Heartbeat&) {
        ::pause();
        return 0;
      },
      {.silence = seconds(1)});
  EXPECT_EQ(code.error().code, Errc::cancelled);
  EXPECT_EQ(code.error().message, "no progress for 1 s");
}

TEST(Supervise, AChildWithAHeartbeatMayTakeItsTime) {
  const auto code = supervise(
      [](const Heartbeat& heartbeat) {
        for (int i = 0; i < 15; ++i) {
          heartbeat();
          std::this_thread::sleep_for(milliseconds(100));
        }
        return 5;
      },
      {.silence = seconds(1)});
  EXPECT_EQ(code, 5);
}

TEST(Supervise, TheDeadlineEndsOneWithAHeartbeat) {
  const auto code = supervise(
      [](const Heartbeat& heartbeat) {
        for (;;) {
          heartbeat();
          std::this_thread::sleep_for(milliseconds(10));
        }
        return 0;
      },
      {.silence = seconds(60), .deadline = Clock::now() + milliseconds(300)});
  EXPECT_EQ(code.error().message, "the deadline passed");
}

}  // namespace
}  // namespace vmcore::guest::save
