// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/pause_limit.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmcore::job {
namespace {

using std::chrono::milliseconds;

// A child that ends when it is killed.
class PauseLimitTest : public testing::Test {
 protected:
  PauseLimitTest() : child_(::fork()) {
    if (child_ == 0) {
      while (true) {
        ::pause();
      }
    }
  }
  ~PauseLimitTest() override {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
  }
  // Waits for it.
  int how_it_ended() {
    int status = 0;
    EXPECT_EQ(::waitpid(child_, &status, 0), child_);
    child_ = -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : -1;
  }
  bool lives() const { return ::waitpid(child_, nullptr, WNOHANG) == 0; }

  pid_t child_;
};

TEST_F(PauseLimitTest, KillsWhatHoldsTheLease) {
  PauseLimit limit(milliseconds(20));
  ASSERT_TRUE(limit.begin(child_));
  EXPECT_TRUE(limit.until());
  EXPECT_EQ(how_it_ended(), SIGKILL);
  EXPECT_TRUE(limit.is_over());
  limit.end();
  EXPECT_TRUE(limit.is_over());
}

TEST_F(PauseLimitTest, HarmsNobodyWhoLetGo) {
  PauseLimit limit(milliseconds(200));
  ASSERT_TRUE(limit.begin(child_));
  limit.end();
  ::usleep(300'000);
  EXPECT_TRUE(lives());
  EXPECT_FALSE(limit.is_over());
  EXPECT_FALSE(limit.until());
}

TEST_F(PauseLimitTest, OfZeroIsNone) {
  PauseLimit limit(milliseconds(0));
  ASSERT_TRUE(limit.begin(child_));
  EXPECT_FALSE(limit.until());
  ::usleep(50'000);
  EXPECT_TRUE(lives());
  EXPECT_FALSE(limit.is_over());
}

TEST_F(PauseLimitTest, NeedsAHolder) {
  ::kill(child_, SIGKILL);
  how_it_ended();
  PauseLimit limit(milliseconds(20));
  EXPECT_FALSE(limit.begin(-1));
}

}  // namespace
}  // namespace vmcore::job
