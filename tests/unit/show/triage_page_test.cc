// SPDX-License-Identifier: GPL-2.0-or-later
// The page of a report whose guest is hostile; tests/cli/test_report_page.py reads whole pages with
// an HTML parser.
#include "src/show/triage_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include "tests/unit/show/count.h"

namespace vmcore::show {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::string kHostile = "</pre></title><script>alert('1')</script><img src=\"//x\">\x1b[2J";

// Each text that the guest may choose is kHostile.
report::TriageReport hostile_report() {
  const report::TaskName task{.pid = 7, .tgid = 6, .comm = kHostile};
  report::TriageReport report{
      .kernel = {.value = report::TriageKernel{.release = kHostile, .build_id = kHostile}},
      .panic = {.value = report::TriagePanic{.message = kHostile, .cpu = 1, .task = task}},
      .modules = {.value = {{{kHostile, "", 4096, 8192, kHostile, true}}}},
      .cpus = {.value = {{{.number = 1, .mode = "kernel", .task = task, .stack = 0}}}},
      .tasks = {.value =
                    report::TriageTasks{.total = 1,
                                        .by_state = {{"UN", 1}},
                                        .list = {{.name = task, .state = "UN", .stack = 0}},
                                        .waiting = {{.stack = 0, .tasks = 1, .names = {task}}}}},
      .log = {.value = {{kHostile, "a line"}}},
      .memory = {.value = report::TriageMemory{.zones = {{kHostile, 0, 4, 3, 2, 1}},
                                               .counters = {{kHostile, 1}},
                                               .slabs = {{kHostile, 1}},
                                               .tasks = {{task, 1}}}},
      .mounts = {.value = {{{kHostile, kHostile, kHostile}}}},
      .files = {.why_not = kHostile},
      .stacks = {{.frames = {{.function = kHostile, .module = kHostile, .stack = "task"}},
                  .broken = kHostile}},
      .remarks = {{Errc::malformed, kHostile}}};
  report.panic.value->fault = report::FaultingFunction{
      .name = kHostile, .registers = {{"rip", 1}}, .arguments = {{kHostile, kHostile, 2}}};
  return report;
}

std::string page_of(const report::TriageReport& report) {
  return triage_page(report, {kHostile, "today"}, fail(Errc::not_found, "{}", kHostile));
}

TEST(TriagePage, TextsOfTheGuestAreText) {
  const std::string page = page_of(hostile_report());
  EXPECT_EQ(count(page, "<script"), 1U);
  EXPECT_EQ(count(page, "<img"), 0U);
  EXPECT_EQ(count(page, "</title>"), 1U);
  EXPECT_EQ(count(page, "<pre"), count(page, "</pre>"));
  EXPECT_EQ(count(page, "\x1b"), 0U);
  // Whatever is shown in whichever place: no text of the guest stands there as it is.
  EXPECT_EQ(count(page, kHostile), 0U);
  EXPECT_GE(count(page, "&lt;script&gt;"), 30U);
}

// A guest whose text could know the nonce could have its script run if the text were not escaped.
TEST(TriagePage, TheNonceFollowsTheContent) {
  report::TriageReport report = hostile_report();
  const auto nonce_of = [](const std::string& page) {
    constexpr std::string_view kBefore = "'nonce-";
    return page.substr(page.find(kBefore) + kBefore.size(), 64);
  };
  const std::string first = nonce_of(page_of(report));
  EXPECT_THAT(page_of(report), HasSubstr("<script nonce=\"" + first + "\">"));
  report.log.value->push_back(first);
  EXPECT_NE(nonce_of(page_of(report)), first);
}

TEST(TriagePage, WhatIsNotKnownSaysWhy) {
  report::TriageReport report;
  report.tasks.why_not = "no BTF in memory";
  const std::string page = page_of(report);
  EXPECT_THAT(page, HasSubstr("<h1>No crash is known</h1>"));
  EXPECT_THAT(page, HasSubstr("not known: no BTF in memory"));
  EXPECT_THAT(page, Not(HasSubstr("stack of CPU")));
}

TEST(TriagePage, APictureHasNoPrologInIt) {
  const std::string page = triage_page(hostile_report(), {"vm1", "today"},
                                       std::string("<?xml version=\"1.0\"?>\n<svg></svg>\n"));
  EXPECT_THAT(page, HasSubstr("<svg></svg>"));
  EXPECT_THAT(page, Not(HasSubstr("<?xml")));
}

TEST(TriagePage, TasksLeadToTheirStacks) {
  const std::string page = page_of(hostile_report());
  EXPECT_THAT(page, HasSubstr("href=\"#stack0\""));
  EXPECT_THAT(page, HasSubstr("id=\"stack0\""));
}

}  // namespace
}  // namespace vmcore::show
