// SPDX-License-Identifier: GPL-2.0-or-later
// Room that is held back, on the file system of the test's folder.
#include "src/vault/room.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "src/base/fd.h"

namespace vmcore::vault {
namespace {

constexpr std::uint64_t kMebibyte = 1U << 20;

class Rooms : public ::testing::Test {
 protected:
  Rooms() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    path_ = ::mkdtemp(folder);
    folder_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~Rooms() override { std::filesystem::remove_all(path_); }

  std::uint64_t blocks() const {
    struct stat status {};
    return ::stat((path_ + "/.held").c_str(), &status) == 0
               ? static_cast<std::uint64_t>(status.st_blocks) * 512
               : 0;
  }

  std::string path_;
  Fd folder_;
};

TEST_F(Rooms, AreHeldGivenUpAndTakenBack) {
  const int folder = folder_.get();
  ASSERT_TRUE(hold_room(folder, ".held", kMebibyte));
  if (held_room(folder, ".held") == 0) {
    GTEST_SKIP() << "no fallocate on this file system";
  }
  EXPECT_EQ(held_room(folder, ".held"), kMebibyte);
  EXPECT_GE(blocks(), kMebibyte);
  EXPECT_EQ(give_up_room(folder, ".held", kMebibyte / 4), kMebibyte / 4);
  EXPECT_LE(blocks(), kMebibyte * 3 / 4 + 4096);
  EXPECT_EQ(held_room(folder, ".held"), kMebibyte * 3 / 4);
  ASSERT_TRUE(hold_room(folder, ".held", kMebibyte));
  EXPECT_EQ(held_room(folder, ".held"), kMebibyte);
  EXPECT_EQ(give_up_room(folder, ".held", 2 * kMebibyte), kMebibyte);
  EXPECT_FALSE(std::filesystem::exists(path_ + "/.held"));
  EXPECT_EQ(give_up_room(folder, ".held", 1), 0U);
}

TEST_F(Rooms, NeverShrinkByBeingHeld) {
  ASSERT_TRUE(hold_room(folder_.get(), ".held", kMebibyte));
  const std::uint64_t before = held_room(folder_.get(), ".held");
  ASSERT_TRUE(hold_room(folder_.get(), ".held", kMebibyte / 2));
  EXPECT_EQ(held_room(folder_.get(), ".held"), before);
}

}  // namespace
}  // namespace vmcore::vault
