// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/judge_dump.h"

#include <gtest/gtest.h>

#include "src/job/forecast.h"
#include "tests/unit/check/judged_guest.h"

namespace vmcore::check {
namespace {

TEST(JudgeState, OneThatRunsOnInItsPanicIsToBeDumped) {
  EXPECT_EQ(judge_state(good()).verdict, Verdict::pass);
  GuestFacts facts = good();
  (*facts.census)->crashed = true;
  EXPECT_EQ(judge_state(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_state(facts), "it crashed, and still runs in its panic: vmcorectl dump"));
  facts.state = acquire::GuestState{"crashed (panicked)", false};
  EXPECT_TRUE(says(judge_state(facts), "it crashed: vmcorectl dump"));
}

TEST(JudgeIdle, AJobKeepsADumpOut) {
  GuestFacts facts = good();
  facts.idle = fail(Errc::busy, "a migration is going on");
  EXPECT_EQ(judge_idle(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_idle(facts), "migration"));
}

TEST(JudgeWays, OneThatIsLeftIsEnough) {
  const auto findings = judge_ways(not_direct(Errc::unsupported));
  EXPECT_EQ(findings[0].verdict, Verdict::warn);
  EXPECT_EQ(findings[0].hint, "mem of process 7");
  EXPECT_EQ(findings[1].verdict, Verdict::pass);
}

TEST(JudgeWays, NoneIsAFailure) {
  GuestFacts facts = not_direct(Errc::denied);
  facts.ways[1].usable = fail(Errc::denied, "libvirt says no");
  for (const Finding& finding : judge_ways(facts)) {
    EXPECT_EQ(finding.verdict, Verdict::fail) << finding.id;
  }
}

TEST(JudgeWays, ARefusalNamesWhatTheKernelAllows) {
  GuestFacts facts = not_direct(Errc::denied);
  facts.trace = {.scope = 1, .capable = false};
  EXPECT_TRUE(says(judge_ways(facts)[0], "kernel.yama.ptrace_scope is 1, without CAP_SYS_PTRACE"));
}

TEST(JudgeKernel, SaysWhatIsKnown) {
  EXPECT_EQ(judge_kernel(good()).value, "6.1.0");
  EXPECT_EQ(judge_kernel(not_direct(Errc::denied)).verdict, Verdict::note);
  GuestFacts facts = good();
  facts.census = report::Summary{.level_asked = 31, .ram_pages = 10, .kept_pages = 10};
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::warn);
  facts.census = report::Summary{
      .release = "6.1.0", .level_asked = 31, .level_reached = 1, .remarks = {{Errc::io, "doubt"}}};
  EXPECT_TRUE(says(judge_kernel(facts), "doubt"));
  facts.census = fail(Errc::unsupported, "a machine of kind microvm");
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::note);
  facts.census = fail(Errc::not_found, "vmcore-worker is not there");
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
}

TEST(JudgeKernel, RefusesWhatADumpWouldRefuse) {
  GuestFacts facts = good();
  facts.setup.mode = acquire::CpuMode::paging_32;
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_kernel(facts), "32-bit kernel"));
  EXPECT_TRUE(says(judge_kernel(facts), "virsh dump --memory-only"));
  facts = not_direct(Errc::denied);
  facts.setup.arch = "aarch64";
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
  EXPECT_TRUE(says(judge_kernel(facts), "aarch64"));
  facts.setup.arch = "x86_64";
  facts.setup.mode = acquire::CpuMode::no_paging;
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_kernel(facts), "would hold all of memory"));
  facts.setup.mode = acquire::CpuMode::paging_64;
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::note);
}

TEST(JudgePanicKernel, IsNoConditionOfADump) {
  GuestFacts facts = good();
  EXPECT_EQ(judge_capture_kernel(facts).value, "loaded");
  (*facts.census)->armed = false;
  EXPECT_EQ(judge_capture_kernel(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_capture_kernel(facts), "none is loaded"));
  (*facts.census)->armed.reset();
  EXPECT_TRUE(says(judge_capture_kernel(facts), "not known"));
}

TEST(JudgePause, IsOnlyThatOfAGuestThatRuns) {
  EXPECT_EQ(judge_pause(good()).value.substr(0, 6), "about ");
  GuestFacts facts = good();
  facts.state = acquire::GuestState{"crashed (panicked)", false};
  EXPECT_EQ(judge_pause(facts).value.substr(0, 4), "none");
  EXPECT_EQ(judge_pause(facts).verdict, Verdict::pass);
}

TEST(JudgePause, IsLongThroughAPipe) {
  const Finding finding = judge_pause(not_direct(Errc::denied));
  EXPECT_EQ(finding.verdict, Verdict::warn);
  EXPECT_EQ(finding.value, "about 2.05 to 7.18 s");
}

TEST(JudgeRoom, IsThatOfTheFile) {
  GuestFacts facts = good();
  EXPECT_EQ(judge_room(facts).value, "about 33 MiB, 102400 MiB free");
  facts.room = 50U << 20;
  EXPECT_EQ(judge_room(facts).verdict, Verdict::warn);
  EXPECT_TRUE(says(judge_room(facts), "100 MiB"));
  const std::uint64_t likely = job::forecast({.kept_bytes = 200U << 20}).size_bytes;
  facts.room = likely;
  EXPECT_EQ(judge_room(facts).verdict, Verdict::warn);
  facts.room = likely - 1;
  EXPECT_EQ(judge_room(facts).verdict, Verdict::fail);
  facts.room = fail(Errc::not_found, "no such folder");
  EXPECT_EQ(judge_room(facts).verdict, Verdict::fail);
}

TEST(JudgeRoom, ThroughAPipeAllOfMemoryIsLaidDown) {
  GuestFacts facts = not_direct(Errc::denied);
  facts.room = 3 * kGiB;
  EXPECT_EQ(judge_room(facts).verdict, Verdict::fail);
  facts.room = 7 * kGiB;
  EXPECT_EQ(judge_room(facts).verdict, Verdict::pass);
}

TEST(JudgeMemory, SharedMemoryGrowsThroughAPipe) {
  GuestFacts facts = not_direct(Errc::denied);
  facts.setup.memory = "memfd";
  EXPECT_EQ(judge_memory(facts).verdict, Verdict::pass);
  facts.setup.memory_shared = true;
  EXPECT_EQ(judge_memory(facts).value, "memfd, shared");
  EXPECT_EQ(judge_memory(facts).verdict, Verdict::warn);
  facts.ways = {{acquire::Method::direct}};
  EXPECT_EQ(judge_memory(facts).verdict, Verdict::pass);
  EXPECT_TRUE(says(judge_memory(facts), "virsh dump"));
  facts.setup.memory.clear();
  EXPECT_EQ(judge_memory(facts).verdict, Verdict::note);
}

TEST(JudgeLeftovers, AreNamed) {
  GuestFacts facts = good();
  facts.leftovers = {"vm1-1.vmcore.incomplete", "vm1-2.vmcore.incomplete"};
  EXPECT_EQ(judge_leftovers(facts).verdict, Verdict::warn);
  EXPECT_EQ(judge_leftovers(facts).value, "vm1-1.vmcore.incomplete, vm1-2.vmcore.incomplete");
  facts.leftovers.clear();
  facts.setup.snapshot_left_on = true;
  EXPECT_TRUE(says(judge_leftovers(facts), "background-snapshot"));
}

TEST(JudgeDump, ACrashedGuestIsToldWithItsCommand) {
  GuestFacts facts = good();
  for (const char* const state : {"crashed (panicked)", "paused (crashed)", "guest-panicked"}) {
    facts.state = acquire::GuestState{state, false};
    const Finding finding = judge_state(facts);
    EXPECT_EQ(finding.verdict, Verdict::warn) << state;
    EXPECT_EQ(finding.hint, "it crashed: vmcorectl dump vm1");
  }
  facts.state = acquire::GuestState{"paused (user)", false};
  EXPECT_EQ(judge_state(facts).verdict, Verdict::pass);
}

TEST(JudgeDump, OneOfAllMayBeOff) {
  GuestFacts facts = good();
  facts.setup.active = false;
  EXPECT_EQ(judge_state(facts).verdict, Verdict::fail);
  facts.may_be_off = true;
  EXPECT_EQ(judge_state(facts).verdict, Verdict::note);
}

TEST(JudgeDump, NumbersNameTheirUnits) {
  GuestFacts facts = good();
  facts.rehearsed = std::chrono::microseconds(12'500);
  const auto pause = judge_pause(facts).numbers;
  ASSERT_EQ(pause.size(), 3U);
  EXPECT_EQ(pause[0], (std::pair<std::string, std::uint64_t>("pause_ms", 13)));
  EXPECT_EQ(pause[1].first, "time_least_ms");
  const auto room = judge_room(facts).numbers;
  ASSERT_EQ(room.size(), 3U);
  EXPECT_EQ(room[2], (std::pair<std::string, std::uint64_t>("free_bytes", 100 * kGiB)));
  EXPECT_LT(room[0].second, room[1].second);
}

}  // namespace
}  // namespace vmcore::check
