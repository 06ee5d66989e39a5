// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/progress.h"

#include <gtest/gtest.h>

namespace vmcore::cli {
namespace {

using std::chrono::milliseconds;

class Progress : public ::testing::Test {
 protected:
  ProgressText::Time after(int ms) const { return begin_ + milliseconds(ms); }

  const ProgressText::Time begin_ = std::chrono::steady_clock::now();
  ProgressText text_{"received"};
};

TEST_F(Progress, SaysNothingBeforeAnythingIsKnown) { EXPECT_EQ(text_.text(begin_), ""); }

TEST_F(Progress, SaysWhatStandsStillAndForHowLong) {
  text_.paused("vm1", begin_);
  EXPECT_EQ(text_.text(after(3210)), "vm1 paused 3.2 s");
  text_.take(sandbox::Spooling{1 << 20}, after(3210));
  EXPECT_EQ(text_.text(after(4210)), "vm1 paused 4.2 s, 1.0 MiB received, 1.0 MiB/s");
  text_.runs();
  EXPECT_EQ(text_.text(after(4210)), "1.0 MiB received, 1.0 MiB/s");
}

TEST_F(Progress, SaysTheSizeOfAStreamAndItsRate) {
  text_.expect(64 << 20);
  text_.take(sandbox::Spooling{0}, begin_);
  EXPECT_EQ(text_.text(begin_), "0 B of 64.0 MiB received");
  text_.take(sandbox::Spooling{16 << 20}, after(2000));
  EXPECT_EQ(text_.text(after(2000)), "16.0 MiB of 64.0 MiB received, 8.0 MiB/s");
}

TEST_F(Progress, CountsPagesThatAreRead) {
  text_.take(sandbox::Spooling{1 << 20}, begin_);
  text_.take(sandbox::Progress{0, 1024}, after(1000));  // its rate is its own
  text_.take(sandbox::Progress{512, 1024}, after(3000));
  EXPECT_EQ(text_.text(after(3000)), "50 % of 4.0 MiB read, 1.0 MiB/s");
}

}  // namespace
}  // namespace vmcore::cli
