// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/check/check_host.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace vmcore::check {
namespace {

namespace fs = std::filesystem;

class TraceRightsOf : public ::testing::Test {
 protected:
  TraceRightsOf() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    root_ = ::mkdtemp(folder);
  }
  ~TraceRightsOf() override { fs::remove_all(root_); }
  void put(const fs::path& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }
  fs::path root_;
};

TEST_F(TraceRightsOf, AreWhatTheKernelSays) {
  put("proc/sys/kernel/yama/ptrace_scope", "1\n");
  put("proc/self/status", "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000080000\n");
  const TraceRights rights = read_trace_rights(root_);
  EXPECT_EQ(rights.scope, 1);
  EXPECT_TRUE(rights.capable);
  EXPECT_EQ(describe(rights), "kernel.yama.ptrace_scope is 1, with CAP_SYS_PTRACE");
  put("proc/self/status", "CapEff:\t000001fffff7ffff\n");
  EXPECT_FALSE(read_trace_rights(root_).capable);
}

TEST_F(TraceRightsOf, NoYamaAndNoProcAreNoRights) {
  EXPECT_EQ(describe(read_trace_rights(root_)),
            "no kernel.yama.ptrace_scope, without CAP_SYS_PTRACE");
}

Finding finding(const HostFacts& facts, std::string_view id) {
  for (const Finding& finding : judge_host(facts).findings) {
    if (finding.id == id) {
      return finding;
    }
  }
  ADD_FAILURE() << id;
  return {};
}

TEST(JudgeHost, RootMayReadAll) {
  EXPECT_EQ(finding({.trace = {.scope = 2, .capable = true}}, "host.ptrace").verdict,
            Verdict::pass);
  EXPECT_EQ(finding({.trace = {.scope = 3, .capable = true}}, "host.ptrace").verdict,
            Verdict::warn);
}

TEST(JudgeHost, AUserMayReadHisOwn) {
  const Finding own = finding({.trace = {.scope = 0}}, "host.ptrace");
  EXPECT_EQ(own.verdict, Verdict::warn);
  EXPECT_NE(own.hint.find("only guests of this user"), std::string::npos);
  const Finding none = finding({.trace = {.scope = 1}}, "host.ptrace");
  EXPECT_NE(none.hint.find("no guest"), std::string::npos);
}

TEST(JudgeHost, LibvirtIsMissedOnlyWhereItIsElsewhere) {
  HostFacts facts;
  facts.libvirt = fail(Errc::io, "no socket");
  EXPECT_EQ(finding(facts, "host.libvirt").verdict, Verdict::warn);
  EXPECT_FALSE(judge_host(facts).failed());
  facts.libvirt = fail(Errc::unsupported, "qemu+ssh://far/system is on another host");
  EXPECT_EQ(finding(facts, "host.libvirt").verdict, Verdict::fail);
  EXPECT_TRUE(judge_host(facts).failed());
}

TEST(JudgeHost, ALibvirtThatHoldsGuestsItselfIsTold) {
  HostFacts facts;
  facts.libvirt = 11'004'000;
  EXPECT_EQ(finding(facts, "host.libvirt").verdict, Verdict::pass);
  EXPECT_EQ(finding(facts, "host.libvirt").value, "11.4.0");
  facts.libvirt = 11'005'000;
  const Finding warned = finding(facts, "host.libvirt");
  EXPECT_EQ(warned.verdict, Verdict::warn);
  EXPECT_EQ(warned.value, "11.5.0");
  EXPECT_NE(warned.hint.find("stays paused until libvirt is started again"), std::string::npos);
}

TEST(JudgeHost, WithoutAWorkerThereIsNoDump) {
  HostFacts facts;
  facts.worker = fail(Errc::not_found, "vmcore-worker is not there");
  EXPECT_EQ(finding(facts, "host.worker").verdict, Verdict::fail);
}

TEST(JudgeHost, AWeakConfinementIsTold) {
  HostFacts facts;
  EXPECT_EQ(finding(facts, "host.confinement").verdict, Verdict::pass);
  facts.confinement =
      std::vector<Remark>{{Errc::denied, "without Landlock"}, {Errc::denied, "and a user"}};
  EXPECT_EQ(finding(facts, "host.confinement").verdict, Verdict::warn);
  EXPECT_EQ(finding(facts, "host.confinement").hint, "without Landlock; and a user");
  facts.confinement = fail(Errc::denied, "seccomp is not there");
  EXPECT_EQ(finding(facts, "host.confinement").verdict, Verdict::fail);
}

TEST(JudgeHost, SnapshotsNeedUserfaultfd) {
  EXPECT_EQ(finding({}, "host.userfaultfd").verdict, Verdict::pass);
  const Finding device =
      finding({.userfaultfd_for_all = false, .userfaultfd_device = true}, "host.userfaultfd");
  EXPECT_EQ(device.verdict, Verdict::warn);
  EXPECT_NE(device.hint.find("/dev/userfaultfd"), std::string::npos);
}

}  // namespace
}  // namespace vmcore::check
