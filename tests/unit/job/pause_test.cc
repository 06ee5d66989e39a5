// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/pause.h"

#include <gtest/gtest.h>

namespace vmcore::job {
namespace {

class CountingLease : public acquire::Lease {
 public:
  explicit CountingLease(int& ended) : ended_(ended) {}
  Result<acquire::Microseconds> end() override {
    ++ended_;
    return acquire::Microseconds(42);
  }

 private:
  int& ended_;
};

TEST(Pause, EndsOnceWhenAsked) {
  int ended = 0;
  {
    Pause pause(std::make_unique<CountingLease>(ended));
    EXPECT_EQ(pause.end()->count(), 42);
    EXPECT_EQ(pause.end()->count(), 0);
  }
  EXPECT_EQ(ended, 1);
}

TEST(Pause, EndsWithItself) {
  int ended = 0;
  {
    Pause first(std::make_unique<CountingLease>(ended));
    const Pause second = std::move(first);
    EXPECT_EQ(ended, 0);
  }
  EXPECT_EQ(ended, 1);
}

TEST(Pause, OfAGuestThatStoodStillHoldsNothing) { EXPECT_EQ(Pause().end()->count(), 0); }

}  // namespace
}  // namespace vmcore::job
