// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dumped_crashes.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "src/acquire/process/guest_process.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;

class DumpedCrashesTest : public ::testing::Test {
 protected:
  DumpedCrashesTest() {
    char name[] = "/tmp/dumped.XXXXXX";
    folder_ = ::mkdtemp(name);
    dump_ = folder_ / "vm1.vmcore";
    std::ofstream(dump_) << "a dump";
  }
  ~DumpedCrashesTest() override { fs::remove_all(folder_); }

  fs::path folder_;
  fs::path dump_;
  const CrashMark crash_{{::getpid(), *acquire::start_time(::getpid())}, "0123abcd"};
};

TEST_F(DumpedCrashesTest, AreRememberedWhileTheirDumpIsThere) {
  const DumpedCrashes crashes{acquire::ProcessNotes(folder_ / "notes")};
  EXPECT_FALSE(crashes.dump_of(crash_));
  crashes.remember(crash_, dump_);
  EXPECT_EQ(crashes.dump_of(crash_), dump_);
  EXPECT_FALSE(
      crashes.dump_of({crash_.process, "another log"}));  // it was reset, and crashed again
  EXPECT_FALSE(crashes.dump_of({{crash_.process.pid, crash_.process.start_time + 1}, crash_.log}));
  fs::remove(dump_);
  EXPECT_FALSE(crashes.dump_of(crash_));
}

}  // namespace
}  // namespace vmcore::job
