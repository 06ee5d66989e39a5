// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/text_output.h"

#include <gtest/gtest.h>

#include "tests/builders/dump_builder.h"

namespace vmcore::worker {
namespace {

TEST(TextOutput, AllIsWritten) {
  const Fd file = builders::memory_file();
  TextOutput output(file.get(), 1 << 20);
  std::string all;
  for (int i = 0; i < 10'000; ++i) {
    const std::string line = fmt::format("line {}\n", i);
    ASSERT_TRUE(output.append(line));
    all += line;
  }
  ASSERT_TRUE(output.flush());
  EXPECT_EQ(builders::file_contents(file.get()), builders::text(all));
}

TEST(TextOutput, NoMoreThanTheLimitReachesTheFile) {
  constexpr std::uint64_t kMost = 200'000;
  const Fd file = builders::memory_file();
  TextOutput output(file.get(), kMost);
  const std::string record(1000, 'x');
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(output.append(record));
  }
  const auto more = output.append("y");
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, Errc::limit);
  ASSERT_TRUE(output.flush());
  EXPECT_EQ(builders::file_contents(file.get()).size(), kMost);
}

}  // namespace
}  // namespace vmcore::worker
