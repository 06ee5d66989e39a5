// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/judge_guest.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/check/judged_guest.h"

namespace vmcore::check {
namespace {

TEST(JudgeGuest, AGoodOnePasses) {
  for (const Finding& finding : judge_guest(good()).findings) {
    EXPECT_EQ(finding.verdict, Verdict::pass) << finding.id << ": " << finding.hint;
    EXPECT_TRUE(finding.hint.empty()) << finding.id;
  }
}

TEST(JudgeGuest, WhoEndsItsPauseIsTold) {
  GuestFacts facts = good();
  facts.setup.libvirt_version = 12'008'001;
  const report::CheckReport report = judge_guest(facts);
  const auto holder = std::ranges::find(report.findings, "holder", &Finding::id);
  ASSERT_NE(holder, report.findings.end());
  EXPECT_EQ(holder->verdict, Verdict::warn);
  EXPECT_EQ(holder->value, "libvirt 12.8.1");
}

TEST(JudgeGuest, OneThatIsShutOffIsJudgedByItsDefinition) {
  GuestFacts facts = good();
  facts.setup.active = false;
  facts.setup.on_crash = "destroy";
  facts.ways.clear();
  const report::CheckReport report = judge_guest(facts);
  EXPECT_TRUE(report.failed());
  EXPECT_EQ(report.findings.front().verdict, Verdict::fail);
  EXPECT_TRUE(std::ranges::any_of(report.findings, [](const Finding& finding) {
    return finding.id == "on_crash" && finding.verdict == Verdict::warn;
  }));
  EXPECT_TRUE(std::ranges::none_of(report.findings,
                                   [](const Finding& finding) { return finding.id == "room"; }));
}

}  // namespace
}  // namespace vmcore::check
