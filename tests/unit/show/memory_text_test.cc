// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/memory_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace vmcore::show {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// 64 KiB of memory.
report::MemoryReport memory() {
  return {.release = "6.12.0",
          .torn = true,
          .memory = 16,
          .free_zero = 2,
          .kept_at_31 = 9,
          .classes = {{"kernel", "kernel and unclassified", 9},
                      {"free", "free", 4},
                      {"user", "user pages", 3},
                      {"offline", "logically offline", 0}},
          .remarks = {{Errc::io, "a \x1b[2J remark"}, {Errc::io, "a fact", Severity::fact}}};
}

TEST(MemoryText, Table) {
  const std::string table = memory_text(memory());
  EXPECT_THAT(table, HasSubstr("kernel and unclassified             36.0 KiB   56.2%\n"));
  EXPECT_THAT(table, HasSubstr("untouched                8.0 KiB   12.5%\n"));
  EXPECT_THAT(table,
              HasSubstr("total                                               64.0 KiB  100.0%\n"));
  EXPECT_THAT(table, HasSubstr("a dump at level 31 keeps 36.0 KiB (56.2%)\n"));
  EXPECT_THAT(table, HasSubstr("warning         a \\x1b[2J remark\n"));
  EXPECT_THAT(table, HasSubstr("note            a fact\n"));
  EXPECT_THAT(table, Not(HasSubstr("offline")));
  EXPECT_THAT(table, Not(HasSubstr("not in the file")));
}

TEST(MemoryText, WhatIsNotInTheFileIsTold) {
  report::MemoryReport report = memory();
  report.excluded_before = 4;
  EXPECT_THAT(memory_text(report), HasSubstr("not in the file: 16.0 KiB (25.0%)"));
  report.incomplete = true;
  EXPECT_THAT(memory_text(report), HasSubstr("complete        NO"));
}

TEST(MemoryText, Percent) {
  EXPECT_EQ(percent(1, 3), "33.3%");
  EXPECT_EQ(percent(0, 0), "0.0%");
  EXPECT_EQ(percent(5, 5), "100.0%");
}

}  // namespace
}  // namespace vmcore::show
