// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sandbox/descriptors.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace vmcore::sandbox {
namespace {

std::vector<Fd> two_files() {
  std::vector<Fd> fds;
  fds.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  fds.emplace_back(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  return fds;
}

bool is_zero(const Fd& fd) {
  char byte = 1;
  return ::read(fd.get(), &byte, 1) == 1 && byte == 0;
}

TEST(Descriptors, AreTakenByNameAndOnce) {
  auto descriptors = Descriptors::make({"source", "output"}, two_files());
  ASSERT_TRUE(descriptors);
  const auto output = descriptors->take("output");
  ASSERT_TRUE(output);
  EXPECT_TRUE(is_zero(*output));
  EXPECT_EQ(descriptors->take("output").error().code, Errc::malformed);
  EXPECT_TRUE(descriptors->take_if_there("source"));
  EXPECT_FALSE(descriptors->take_if_there("source"));
  EXPECT_FALSE(descriptors->take_if_there("key"));
}

TEST(Descriptors, HaveOneNameEach) {
  EXPECT_EQ(Descriptors::make({"source"}, two_files()).error().code, Errc::malformed);
  EXPECT_EQ(Descriptors::make({"a", "b", "c"}, two_files()).error().code, Errc::malformed);
  EXPECT_EQ(Descriptors::make({"a", "a"}, two_files()).error().code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::sandbox
