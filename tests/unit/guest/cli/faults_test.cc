// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/cli/faults.h"

#include <gtest/gtest.h>

#include "tests/unit/guest/folder_root.h"

namespace vmcore::guest::cli {
namespace {

const std::string kDirect = "/sys/kernel/debug/provoke-crash/DIRECT";

class Faults : public ::testing::Test {
 protected:
  // A kernel whose lkdtm has all but one, and where only an oops causes a panic.
  Faults() {
    folder_.write(kDirect, "Available crash types:\nPANIC\nEXCEPTION\nBUG\nSOFTLOCKUP\n");
    folder_.write("/proc/sys/kernel/panic_on_oops", "1\n");
    folder_.write("/proc/sys/kernel/softlockup_panic", "0\n");
    folder_.write("/proc/sys/kernel/hung_task_panic", "1\n");
  }
  // "FILE WORD", or why not.
  std::string ready(const std::string& name) const {
    const auto trigger = ready_fault(folder_.root(), name);
    return trigger ? trigger->file + " " + trigger->word : trigger.error().message;
  }
  FolderRoot folder_;
};

TEST_F(Faults, AreCausedByTheirWords) {
  EXPECT_EQ(fault_names(),
            (std::vector<std::string>{"sysrq", "null", "bug", "lockup", "hung-task"}));
  EXPECT_EQ(ready("sysrq"), "/proc/sysrq-trigger c");
  EXPECT_EQ(ready("null"), kDirect + " EXCEPTION");
  EXPECT_EQ(ready("bug"), kDirect + " BUG");
}

TEST_F(Faults, ThatCauseNoPanicAreRefused) {
  EXPECT_EQ(ready("lockup"),
            "the fault lockup does not cause a panic in this guest (kernel.softlockup_panic is 0): "
            "run vmcore-guest setup --panic-on softlockup, or sysctl kernel.softlockup_panic=1");
  folder_.write("/proc/sys/kernel/softlockup_panic", "1\n");
  EXPECT_EQ(ready("lockup"), kDirect + " SOFTLOCKUP");
}

TEST_F(Faults, ThatLkdtmLacksAreRefused) {
  EXPECT_EQ(ready("hung-task"), "the lkdtm of this kernel cannot cause the fault hung-task");
  std::filesystem::remove(folder_.at(kDirect));
  EXPECT_TRUE(ready("bug").starts_with(
      "this kernel cannot cause the fault bug: it has no lkdtm (CONFIG_LKDTM), or is locked down"));
  EXPECT_EQ(ready("sysrq"), "/proc/sysrq-trigger c");
}

}  // namespace
}  // namespace vmcore::guest::cli
