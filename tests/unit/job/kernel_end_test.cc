// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/kernel_end.h"

#include <gtest/gtest.h>

namespace vmcore::job {
namespace {

constexpr const char* kBoot = "[    0.000000] Linux version 6.1.0\n[    1.000000] Run /init\n";

std::string_view end_of(const std::string& more) { return end_name(ending_of(kBoot + more).end); }

TEST(KernelEnd, APanicSaysSo) {
  const KernelEnding ending =
      ending_of(std::string(kBoot) +
                "[   31.5] Kernel panic - not syncing: sysrq triggered crash\n"
                "[   31.6] Rebooting in 1 seconds..\n");
  EXPECT_EQ(ending.end, KernelEnd::panicked);
  EXPECT_EQ(ending.line, "[   31.5] Kernel panic - not syncing: sysrq triggered crash");
}

TEST(KernelEnd, APanicCountsBehindWhateverComes) {
  EXPECT_EQ(end_of("[ 9.0] Kernel panic - not syncing: x\n[ 9.1] reboot: Restarting system\n"),
            "panicked");
}

TEST(KernelEnd, AnOrderlyEnd) {
  EXPECT_EQ(end_of("[   60.1] reboot: Restarting system\n"), "orderly");
  EXPECT_EQ(end_of("[   60.1] reboot: Power down\n"), "orderly");
  EXPECT_EQ(end_of("[   60.1] sysrq: Resetting\n"), "orderly");
}

TEST(KernelEnd, WhetherAResetFollows) {
  EXPECT_TRUE(ending_of("[   60.1] reboot: Power down\n").powers_off);
  EXPECT_TRUE(ending_of("[   60.1] sysrq: Power Off\n").powers_off);
  EXPECT_FALSE(ending_of("[   60.1] reboot: Restarting system\n").powers_off);
  EXPECT_FALSE(
      ending_of("[    1.0] reboot: Power down\n[ 9.0] Kernel panic - not syncing: x\n").powers_off);
}

TEST(KernelEnd, ABugThatTheKernelSurvived) {
  EXPECT_EQ(end_of("[ 5.0] Oops: 0002 [#1] PREEMPT SMP\n[ 60.1] reboot: Restarting system\n"),
            "orderly");
}

TEST(KernelEnd, ABugIsTheLastThatIsSaid) {
  EXPECT_EQ(end_of("[ 5.0] Oops: 0002 [#1] PREEMPT SMP\n[ 5.1] RIP: 0010:f+0x10\n"), "oopsed");
}

TEST(KernelEnd, NothingIsSaid) {
  const KernelEnding ending = ending_of(kBoot);
  EXPECT_EQ(ending.end, KernelEnd::silent);
  EXPECT_EQ(ending.line, "");
  EXPECT_EQ(ending_of("").end, KernelEnd::silent);
}

TEST(KernelEnd, ItsNames) {
  for (const KernelEnd end :
       {KernelEnd::panicked, KernelEnd::oopsed, KernelEnd::orderly, KernelEnd::silent}) {
    EXPECT_EQ(end_from_name(end_name(end)), end);
  }
  EXPECT_EQ(end_from_name("other"), std::nullopt);
}

}  // namespace
}  // namespace vmcore::job
