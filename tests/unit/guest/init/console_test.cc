// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/init/console.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <string>

#include "src/base/fd.h"

namespace vmcore::guest::init {
namespace {

struct Ends {
  Fd reading;
  Fd writing;
};

Ends make_ends() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::pipe2(fds, O_NONBLOCK), 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

TEST(Console, GetsWholeLines) {
  const Ends ends = make_ends();
  Console(ends.writing.get()).say("a line");
  std::array<char, 64> text{};
  const ssize_t got = ::read(ends.reading.get(), text.data(), text.size());
  EXPECT_EQ(std::string(text.data(), static_cast<std::size_t>(std::max(got, ssize_t{0}))),
            "vmcore-guest: a line\n");
}

TEST(Console, OneThatNobodyReadsCostsASecondAtMost) {
  const Ends ends = make_ends();
  Console console(ends.writing.get());
  const auto begin = std::chrono::steady_clock::now();
  for (int line = 0; line < 100; ++line) {
    console.say(std::string(4096, 'x'));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

}  // namespace
}  // namespace vmcore::guest::init
