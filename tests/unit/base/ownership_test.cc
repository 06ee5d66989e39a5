// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/ownership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace vmcore {
namespace {

using ::testing::HasSubstr;

struct stat owned(uid_t user, mode_t mode) {
  struct stat status {};
  status.st_uid = user;
  status.st_mode = S_IFREG | mode;
  return status;
}

TEST(Ownership, RootAndThisUserAreBelieved) {
  EXPECT_TRUE(check_ours(owned(0, 0644), "/f"));
  EXPECT_TRUE(check_ours(owned(::geteuid(), 0755), "/f"));
}

TEST(Ownership, OthersWhoMayWriteAreNot) {
  for (const mode_t mode : {0664U, 0646U, 0620U, 0602U}) {
    const auto refused = check_ours(owned(0, mode), "/a b");
    ASSERT_FALSE(refused) << mode;
    EXPECT_EQ(refused.error().code, Errc::denied);
    EXPECT_THAT(refused.error().message, HasSubstr("chmod go-w '/a b'"));
  }
  const auto refused = check_ours(owned(::geteuid() + 1, 0600), "/f");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("chown root /f"));
}

}  // namespace
}  // namespace vmcore
