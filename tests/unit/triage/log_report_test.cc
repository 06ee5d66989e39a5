// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/builders/log_texts.h"

namespace vmcore::triage {
namespace {

using report::CrashClass;
using report::TriageReport;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::log_sample;

TriageReport of(std::string_view name) { return report_of_log(read_log_text(log_sample(name))); }

TEST(LogReportTest, AnOops) {
  const TriageReport report = of("null");
  ASSERT_TRUE(report.panic.value);
  EXPECT_EQ(report.panic.value->kind, CrashClass::null_dereference);
  EXPECT_EQ(report.panic.value->message,
            "BUG: kernel NULL pointer dereference, address: 0000000000000010");
  EXPECT_THAT(report.panic.value->evidence, ElementsAre("log"));
  EXPECT_EQ(report.panic.value->cpu, 1U);
  EXPECT_EQ(report.panic.value->task->comm, "insmod");
  EXPECT_EQ(report.panic.value->fault->name, "write_to_null");
  EXPECT_EQ(report.panic.value->fault->registers[0].name, "rsp");
  EXPECT_EQ(report.panic.value->fault->registers[0].value, 0xffffb1c0003dbb48);
  ASSERT_EQ(report.panic.value->stack, 0U);
  EXPECT_EQ(text_of(report.stacks[0].frames[0]), "write_to_null+0x5/0x20 [crasher]");
  EXPECT_TRUE(report.stacks[0].frames[0].exact);
  EXPECT_EQ(report.stacks[0].frames.size(), 4U) << "without those marked ?";
  EXPECT_EQ(report.kernel.value->release, "6.1.0-18-amd64");
  EXPECT_EQ(*report.kernel.value->taint_mask, 1U << 12 | 1U << 13);
  EXPECT_FALSE(report.incomplete);
  EXPECT_THAT(report.remarks, IsEmpty());
}

TEST(LogReportTest, AnOopsWithoutAPanicHasItsSentence) {
  EXPECT_EQ(of("divide").panic.value->message, "divide error: 0000 [#1] SMP");
}

TEST(LogReportTest, WhatALogDoesNotTellSaysSo) {
  const TriageReport report = of("no_init");
  EXPECT_EQ(report.tasks.why_not, "a kernel log does not tell");
  EXPECT_EQ(report.kernel.why_not, "the log does not name its kernel");
  EXPECT_THAT(report.stacks, IsEmpty());
  EXPECT_FALSE(report.panic.value->stack);
}

TEST(LogReportTest, NoCrash) {
  const TriageReport report = report_of_log(read_log_text("login: "));
  EXPECT_EQ(report.panic.why_not, "the log tells of no crash");
  EXPECT_TRUE(report.incomplete);
  EXPECT_THAT(*report.log.value, ElementsAre("login: "));
}

TEST(LogReportTest, ACutLogIsIncomplete) {
  const TriageReport report =
      report_of_log(read_log_text("[    1.000000] Kernel panic - not syncing: Fatal exception\n"));
  EXPECT_TRUE(report.incomplete);
  EXPECT_TRUE(report.panic.value->signature->weak);
  ASSERT_EQ(report.remarks.size(), 1U);
  EXPECT_EQ(report.remarks[0].code, Errc::truncated);
}

// Whatever the text, the document can be written and read.
TEST(LogReportTest, EachReportIsADocument) {
  for (const testing::LogSample& sample : testing::kLogSamples) {
    const std::string json = to_json(of(sample.name));
    const auto read = report::triage_from_json(json);
    ASSERT_TRUE(read) << sample.name << ": " << read.error().message;
    EXPECT_EQ(to_json(*read), json);
  }
}

TEST(LogReportTest, LongTextsAreADocument) {
  std::string text = "[    1.000000] divide error: 0000 [#1] SMP\n[    1.000000] Call Trace:\n";
  const std::string name(500, 'f');
  for (int i = 0; i < 600; ++i) {
    text += "[    1.000000]  " + name + "+0x1/0x2\n";
  }
  const auto read = report::triage_from_json(to_json(report_of_log(read_log_text(text))));
  EXPECT_TRUE(read) << read.error().message;
}

}  // namespace
}  // namespace vmcore::triage
