// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/job_words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/report/crash_event.h"
#include "src/report/dump.h"
#include "src/report/receive.h"

namespace vmcore::daemon {
namespace {

using acquire::GuestEvent;
using std::chrono::seconds;
using testing::ElementsAre;

std::string without_newline(std::string line) {
  line.pop_back();
  return line;
}

JobSays read(const report::JobEvent& event, JobKind kind = JobKind::dump) {
  return *read_job_line(without_newline(report::to_line(event)), kind);
}

JobEnded ended(const report::DumpReport& report, JobKind kind = JobKind::dump) {
  const JobSays says = read(report::JobEnd{.report = report::to_json(report)}, kind);
  return std::get<JobEnded>(std::get<JobNews>(says.what));
}

TEST(JobWordsTest, ADumpTellsWhatHappenedAndWaits) {
  const GuestEvent event{.kind = GuestEvent::Kind::panicked,
                         .name = "vm1",
                         .time = std::chrono::microseconds(7),
                         .details = "{}"};
  const JobCommand command = job_command(
      {JobKind::dump, event, seconds(900)}, {.words = {"-c", "qemu:///system", "--name", "vm1"}},
      {"/store", "/conf"}, {.level = 17, .store = {.bytes = 4096, .count = 3}},
      {.memory = 1000, .threads = 3});
  EXPECT_THAT(
      command.words,
      ElementsAre("dump", "-q", "--keep", "--flash", "--output", "json", "--ends-with-stdin",
                  "--dump-level", "17", "--store", "/store", "--config", "/conf", "--guest-size",
                  "4096", "--guest-count", "3", "--threads", "3", "--memory-budget", "1000"));
  EXPECT_THAT(command.guest.words, ElementsAre("-c", "qemu:///system", "--name", "vm1"));
  EXPECT_TRUE(command.reports);
  EXPECT_TRUE(command.waits);
  const auto told = report::event_from_json(command.event);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->kind, "panicked");
  EXPECT_EQ(told->time_us, 7U);
}

TEST(JobWordsTest, AReceptionHasItsDeadline) {
  const JobCommand command = job_command(
      {JobKind::receive, {.kind = GuestEvent::Kind::crash_loaded, .uuid = "the-uuid"}, seconds(30)},
      {}, {}, {}, {.threads = 2});
  EXPECT_THAT(command.words,
              testing::IsSupersetOf({"receive", "--deadline", "--wait", "30", "--threads", "2"}));
  EXPECT_THAT(command.words, testing::Not(testing::Contains("--memory-budget")));
  EXPECT_FALSE(command.waits);
  EXPECT_EQ(report::event_from_json(command.event)->uuid, "the-uuid") << "the guest says no UUID";
}

TEST(JobWordsTest, NewsOfAJob) {
  const JobSays memory = read(report::JobMemoryRead{.monitor = false});
  EXPECT_TRUE(std::holds_alternative<JobMemoryRead>(std::get<JobNews>(memory.what)));
  EXPECT_EQ(memory.monitor, false);
  const JobSays flash = read(report::JobFlash{.kept = true, .signature = {.title = "BUG"}});
  EXPECT_EQ(std::get<JobFlash>(std::get<JobNews>(flash.what)).signature.title, "BUG");
  const JobSays event = read(report::JobGuestEvent{.what = "reset", .time_us = 5});
  EXPECT_EQ(std::get<GuestEvent>(event.what).kind, GuestEvent::Kind::reset);
  EXPECT_EQ(std::get<GuestEvent>(event.what).time.count(), 5);
  for (const report::JobEvent& other :
       {report::JobEvent(report::JobProgress{}), report::JobEvent(report::JobGuestEvent{"new"})}) {
    EXPECT_TRUE(std::holds_alternative<std::monostate>(read(other).what));
  }
  EXPECT_FALSE(read_job_line("{", JobKind::dump));
}

TEST(JobWordsTest, TheEndOfADump) {
  report::DumpReport report{.dump = report::DumpFile{.path = "/store/C1/vmcore", .as_asked = true}};
  report.kept = "C1";
  EXPECT_EQ(ended(report).id, "C1");
  EXPECT_TRUE(ended(report).whole);
  report.dump->as_asked = false;
  EXPECT_FALSE(ended(report).whole);
  report.dump = fail(Errc::no_space, "full");
  EXPECT_EQ(ended(report).id, "C1");
  EXPECT_EQ(ended(report).error->code, Errc::no_space);
}

TEST(JobWordsTest, ADumpThatIsLeftOutOnPurposeIsWhole) {
  report::DumpReport report{.dump = report::DumpFile{.as_asked = true}};
  report.kept = "C1";
  report.memory = "not kept: it repeats C0";
  EXPECT_TRUE(ended(report).whole);
  EXPECT_EQ(ended(report).left_out, "not kept: it repeats C0");
}

TEST(JobWordsTest, AFlashReportIsWholeWithoutADump) {
  report::DumpReport report{.dump = fail(Errc::cancelled, "--go-fd: it was closed")};
  report.kept = "C1";
  EXPECT_TRUE(ended(report, JobKind::flash).whole);
  report.kept.clear();
  EXPECT_TRUE(ended(report, JobKind::flash).error);
}

TEST(JobWordsTest, TheEndOfAReception) {
  report::ReceiveReport report{.dump = fail(Errc::not_found, "no stream")};
  const JobSays says = read(report::JobEnd{.report = report::to_json(report)}, JobKind::receive);
  EXPECT_EQ(std::get<JobEnded>(std::get<JobNews>(says.what)).error->message, "no stream");
}

TEST(JobWordsTest, AReceptionThatHasBegun) {
  const JobSays says = read(report::JobStream{.monitor = true}, JobKind::receive);
  EXPECT_TRUE(std::holds_alternative<JobStreams>(std::get<JobNews>(says.what)));
  EXPECT_EQ(says.monitor, true);
}

TEST(JobWordsTest, ALookThatTellsNothing) {
  EXPECT_FALSE(read_look("").panicked);
  EXPECT_FALSE(read_look("{}").panicked);
}

}  // namespace
}  // namespace vmcore::daemon
