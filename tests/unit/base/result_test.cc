// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace vmcore {
namespace {

Result<int> parse(int value) {
  if (value < 0) {
    return fail(Errc::malformed, "{} is negative", value);
  }
  return value;
}

Result<int> twice(int value) {
  TRY(parse(value));
  TRY_ASSIGN(const int parsed, parse(value));
  return 2 * parsed;
}

TEST(Result, TryHandsErrorsUp) {
  EXPECT_EQ(*twice(4), 8);
  EXPECT_EQ(twice(-1).error().code, Errc::malformed);
  EXPECT_EQ(twice(-1).error().message, "-1 is negative");
}

Result<std::unique_ptr<int>> move_through() {
  TRY_ASSIGN(std::unique_ptr<int> value, Result<std::unique_ptr<int>>(std::make_unique<int>(3)));
  return value;
}

TEST(Result, TryAssignMoves) { EXPECT_EQ(**move_through(), 3); }

TEST(Result, ContextComesInFront) {
  const Result<> result = in_context({Errc::io, "read: bad"}, "vm1.elf");
  EXPECT_EQ(result.error().message, "vm1.elf: read: bad");
  EXPECT_EQ(result.error().code, Errc::io);
}

TEST(Result, SystemErrorsHaveCodes) {
  const auto code = [](int number) { return fail_errno(number, "x").value().code; };
  EXPECT_EQ(code(ENOSPC), Errc::no_space);
  EXPECT_EQ(code(EACCES), Errc::denied);
  EXPECT_EQ(code(EEXIST), Errc::exists);
  EXPECT_EQ(code(ENOENT), Errc::not_found);
  EXPECT_EQ(code(EIO), Errc::io);
}

TEST(Result, EveryCodeHasANameOfItsOwn) {
  for (int i = 0; i <= static_cast<int>(Errc::invalid); ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_EQ(errc_from_name(errc_name(code)), code) << i;
  }
  EXPECT_EQ(errc_from_name("nonsense"), Errc::io);
}

TEST(Result, AFileSizeLimitIsCalledSo) {
  const Error error = Result<>(fail_errno(EFBIG, "out")).error();
  EXPECT_EQ(error.code, Errc::no_space);
  EXPECT_EQ(error.message,
            "out: the file is too large for the file system or for this process (ulimit -f)");
}

}  // namespace
}  // namespace vmcore
