#include "src/job/judge_guest.h"

#include <gtest/gtest.h>

namespace vmcore::job {
namespace {

constexpr std::uint64_t kGiB = 1ULL << 30;

// A guest of 4 GiB that runs, of which 200 MiB are kept, with nothing to complain of.
GuestFacts good() {
  sandbox::Done census{.release = "6.1.0",
                       .level_asked = 31,
                       .level_reached = 31,
                       .ram_pages = 1U << 20,
                       .kept_pages = 51200,
                       .armed = true};
  return {.name = "vm1",
          .domain = "vm1",
          .setup = {.panic_device = true,
                    .vmcoreinfo_device = true,
                    .dump_channel = true,
                    .on_crash = "preserve",
                    .memory = "anonymous",
                    .persistent = true},
          .ways = {{"direct"}, {"libvirt"}},
          .state = acquire::GuestState{"running", true},
          .memory_size = 4 * kGiB,
          .census = std::move(census),
          .read_ahead = kGiB,
          .threads = 2,
          .folder = ".",
          .room = 100 * kGiB};
}

// Where memory cannot be read in place.
GuestFacts not_direct(Errc why) {
  GuestFacts facts = good();
  facts.ways = {{"direct", fail(why, "mem of process 7")}, {"libvirt"}};
  facts.census.reset();
  return facts;
}

bool says(const Finding& finding, std::string_view what) {
  return finding.hint.find(what) != std::string::npos;
}

TEST(JudgeGuest, AGoodOnePasses) {
  for (const Finding& finding : judge_guest(good()).findings) {
    EXPECT_EQ(finding.verdict, Verdict::pass) << finding.id << ": " << finding.hint;
    EXPECT_TRUE(finding.hint.empty()) << finding.id;
  }
}

TEST(JudgeGuest, GoesWithoutAChannelOfItsOwn) {
  GuestFacts facts = good();
  facts.setup.dump_channel = false;
  EXPECT_EQ(judge_channel(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_channel(facts), "check --fix"));
  facts.domain.clear();
  EXPECT_TRUE(says(judge_channel(facts), "org.vmcorectl.dump.0"));
}

TEST(JudgeGuest, OneThatIsShutOffIsJudgedByItsDefinition) {
  GuestFacts facts = good();
  facts.setup.active = false;
  facts.setup.on_crash = "destroy";
  facts.ways.clear();
  const CheckReport report = judge_guest(facts);
  EXPECT_TRUE(report.failed());
  EXPECT_EQ(report.findings.front().verdict, Verdict::fail);
  EXPECT_TRUE(std::ranges::any_of(report.findings, [](const Finding& finding) {
    return finding.id == "on_crash" && finding.verdict == Verdict::warn;
  }));
  EXPECT_TRUE(std::ranges::none_of(report.findings,
                                   [](const Finding& finding) { return finding.id == "room"; }));
}

TEST(JudgeGuest, EncryptedMemoryIsNone) {
  GuestFacts facts = good();
  facts.setup.encryption = "sev";
  const Finding finding = judge_encryption(facts);
  EXPECT_EQ(finding.verdict, Verdict::fail);
  EXPECT_EQ(finding.value, "sev");
}

TEST(JudgeGuest, AJobKeepsADumpOut) {
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
  facts.census = sandbox::Done{.level_asked = 31, .ram_pages = 10, .kept_pages = 10};
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::warn);
  facts.census = sandbox::Done{
      .release = "6.1.0", .level_asked = 31, .level_reached = 1, .remarks = {{Errc::io, "doubt"}}};
  EXPECT_TRUE(says(judge_kernel(facts), "doubt"));
  facts.census = fail(Errc::unsupported, "a machine of kind microvm");
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::note);
  facts.census = fail(Errc::not_found, "vmcore-worker is not there");
  EXPECT_EQ(judge_kernel(facts).verdict, Verdict::fail);
}

TEST(JudgePanicKernel, IsNoConditionOfADump) {
  GuestFacts facts = good();
  EXPECT_EQ(judge_panic_kernel(facts).value, "loaded");
  (*facts.census)->armed = false;
  EXPECT_EQ(judge_panic_kernel(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_panic_kernel(facts), "none is loaded"));
  (*facts.census)->armed.reset();
  EXPECT_TRUE(says(judge_panic_kernel(facts), "not known"));
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
  facts.room = 20U << 20;
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
  facts.ways = {{"direct"}};
  EXPECT_EQ(judge_memory(facts).verdict, Verdict::pass);
  EXPECT_TRUE(says(judge_memory(facts), "virsh dump"));
  facts.setup.memory.clear();
  EXPECT_EQ(judge_memory(facts).verdict, Verdict::note);
}

TEST(JudgePanicDevice, MissingOneHasARemedy) {
  GuestFacts facts = good();
  facts.setup.panic_device = false;
  EXPECT_TRUE(says(judge_panic_device(facts), "vmcorectl check --fix vm1"));
  EXPECT_EQ(judge_on_crash(facts).verdict, Verdict::note);
  facts.setup.ready_when_started = true;
  EXPECT_TRUE(says(judge_panic_device(facts), "stop and start"));
  facts.setup.persistent = false;
  EXPECT_TRUE(says(judge_panic_device(facts), "transient"));
  constexpr acquire::Owner kOwner{"KubeVirt", " (panicDevices)"};
  facts.setup.owner = &kOwner;
  EXPECT_TRUE(says(judge_panic_device(facts), "KubeVirt, whose definition it is (panicDevices)"));
  facts.domain.clear();
  EXPECT_TRUE(says(judge_panic_device(facts), "-device pvpanic-pci"));
}

TEST(JudgeOnCrash, WhatLosesTheMemoryIsWarnedOf) {
  GuestFacts facts = good();
  for (const char* const action : {"destroy", "restart"}) {
    facts.setup.on_crash = action;
    EXPECT_EQ(judge_on_crash(facts).verdict, Verdict::warn);
    EXPECT_TRUE(says(judge_on_crash(facts),
                     "virsh set-lifecycle-action vm1 crash preserve --live --config"));
  }
  facts.setup.persistent = false;
  EXPECT_EQ(judge_on_crash(facts).hint.find("--config"), std::string::npos);
  facts.setup.on_crash = "coredump-restart";
  EXPECT_TRUE(says(judge_on_crash(facts), "auto_dump_path"));
  facts.setup.on_crash.reset();
  EXPECT_EQ(judge_on_crash(facts).verdict, Verdict::note);
}

TEST(JudgeVmcoreinfo, MattersLessWhereTheKernelWasFound) {
  GuestFacts facts = good();
  facts.setup.vmcoreinfo_device = false;
  EXPECT_EQ(judge_vmcoreinfo(facts).verdict, Verdict::note);
  facts.census.reset();
  EXPECT_EQ(judge_vmcoreinfo(facts).verdict, Verdict::warn);
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

}  // namespace
}  // namespace vmcore::job
