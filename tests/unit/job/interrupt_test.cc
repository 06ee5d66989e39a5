// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/interrupt.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

namespace vmcore::job {
namespace {

constexpr int kCode = 130;

[[noreturn]] void wait_for_ever() {
  while (true) {
    ::pause();
  }
}

bool readable(int fd) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, 0) == 1;
}

TEST(Interrupt, EndsAtOnceUntilItIsArmed) {
  EXPECT_EXIT(
      {
        const Interrupt interrupt(kCode);
        ::raise(SIGTERM);
      },
      testing::ExitedWithCode(kCode), "");
}

TEST(Interrupt, IsReadableThen) {
  Interrupt interrupt(kCode);
  interrupt.arm();
  EXPECT_FALSE(readable(interrupt.fd()));
  ::raise(SIGINT);
  EXPECT_TRUE(readable(interrupt.fd()));
  interrupt.rearm();
  EXPECT_FALSE(readable(interrupt.fd()));
}

// Whatever it waits for.
TEST(Interrupt, WithAGraceEndsWhatDoesNotEnd) {
  EXPECT_EXIT(
      {
        Interrupt interrupt(kCode);
        interrupt.arm_for(1);
        ::raise(SIGINT);
        wait_for_ever();
      },
      testing::ExitedWithCode(kCode), "interrupted");
}

TEST(Interrupt, WithAGraceLetsWhatEndsInTime) {
  {
    Interrupt interrupt(kCode);
    interrupt.arm_for(1);
    ::raise(SIGINT);
    EXPECT_TRUE(readable(interrupt.fd()));
  }
  EXPECT_EQ(::alarm(0), 0U);  // none is left
}

}  // namespace
}  // namespace vmcore::job
