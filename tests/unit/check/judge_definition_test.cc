// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/judge_definition.h"

#include <gtest/gtest.h>

#include "tests/unit/check/judged_guest.h"

namespace vmcore::check {
namespace {

TEST(JudgeChannel, ThereMayBeNone) {
  GuestFacts facts = good();
  facts.setup.dump_channel = false;
  EXPECT_EQ(judge_channel(facts).verdict, Verdict::note);
  EXPECT_TRUE(says(judge_channel(facts), "check --fix"));
  facts.domain.clear();
  EXPECT_TRUE(says(judge_channel(facts), "org.vmcorectl.dump.0"));
}

TEST(JudgeEncryption, EncryptedMemoryIsNone) {
  GuestFacts facts = good();
  facts.setup.encryption = "sev";
  const Finding finding = judge_encryption(facts);
  EXPECT_EQ(finding.verdict, Verdict::fail);
  EXPECT_EQ(finding.value, "sev");
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
  EXPECT_TRUE(
      says(judge_panic_device(facts), "KubeVirt, which owns the definition (panicDevices)"));
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

// They are pasted, often as root.
TEST(JudgeDefinition, RemediesAreQuotedAndRepeatTheConnection) {
  GuestFacts facts = good();
  facts.domain = "a;touch pwned";
  facts.selection.uri = "qemu:///session";
  facts.setup = {.on_crash = "destroy", .persistent = true};
  for (const auto judge : {judge_panic_device, judge_vmcoreinfo, judge_channel}) {
    EXPECT_TRUE(says(judge(facts), "vmcorectl check --fix -c qemu:///session 'a;touch pwned'"));
  }
  facts.setup.panic_device = true;
  EXPECT_TRUE(says(judge_on_crash(facts),
                   "virsh -c qemu:///session set-lifecycle-action 'a;touch pwned' crash preserve"));
}

TEST(JudgeVmcoreinfo, MattersLessWhereTheKernelWasFound) {
  GuestFacts facts = good();
  facts.setup.vmcoreinfo_device = false;
  EXPECT_EQ(judge_vmcoreinfo(facts).verdict, Verdict::note);
  facts.census.reset();
  EXPECT_EQ(judge_vmcoreinfo(facts).verdict, Verdict::warn);
}

}  // namespace
}  // namespace vmcore::check
