// SPDX-License-Identifier: GPL-2.0-or-later
// Crashes that were dumped already. What a note is by itself is tested as the place cache.
#include "src/job/process_notes.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

#include "src/acquire/process/guest_process.h"
#include "src/job/dumped_crashes.h"

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

TEST_F(DumpedCrashesTest, TheNoteOfAProcessIsKept) {
  const ProcessNotes notes(folder_ / "notes");
  EXPECT_FALSE(notes.recall(crash_.process));
  notes.remember(crash_.process, "text of it");
  EXPECT_EQ(notes.recall(crash_.process), "text of it");
  EXPECT_FALSE(notes.recall({crash_.process.pid, crash_.process.start_time + 1}));
}

TEST_F(DumpedCrashesTest, AreRememberedWhileTheirDumpIsThere) {
  const DumpedCrashes crashes(folder_ / "dumped");
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
