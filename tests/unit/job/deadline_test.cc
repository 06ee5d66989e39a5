// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/deadline.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cstdint>

namespace vmcore::job {
namespace {

using std::chrono::milliseconds;

bool is_readable_within(int fd, int most) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, most) == 1;
}

TEST(Deadlines, EndByThemselves) {
  const auto deadline = Deadline::after(milliseconds(1), -1);
  ASSERT_TRUE(deadline) << deadline.error().message;
  EXPECT_TRUE(is_readable_within(deadline->fd(), 60'000));
  EXPECT_TRUE(deadline->is_over());
}

TEST(Deadlines, AreCancelled) {
  const Fd cancel(::eventfd(0, EFD_CLOEXEC));
  const auto deadline = Deadline::after(milliseconds(3'600'000), cancel.get());
  ASSERT_TRUE(deadline) << deadline.error().message;
  EXPECT_FALSE(is_readable_within(deadline->fd(), 0));
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(cancel.get(), &one, sizeof one), ssize_t{sizeof one});
  EXPECT_TRUE(is_readable_within(deadline->fd(), 0));
  EXPECT_FALSE(deadline->is_over());
}

TEST(Deadlines, AreOneInAnother) {
  const auto inner = Deadline::after(milliseconds(1), -1);
  ASSERT_TRUE(inner);
  const auto outer = Deadline::after(milliseconds(3'600'000), inner->fd());
  ASSERT_TRUE(outer) << outer.error().message;
  EXPECT_TRUE(is_readable_within(outer->fd(), 60'000));
  EXPECT_FALSE(outer->is_over());
}

}  // namespace
}  // namespace vmcore::job
