// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/hook_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;

TEST(HookMarksTest, SurviveTheirService) {
  char name[] = "/tmp/vmcored-marks-XXXXXX";
  const fs::path folder = ::mkdtemp(name);
  const HookMarks marks(folder / "hooks");
  EXPECT_TRUE(marks.all().empty());
  ASSERT_TRUE(marks.set("20261129T2-b"));
  ASSERT_TRUE(marks.set("20261129T1-a"));
  ASSERT_TRUE(marks.set("20261129T1-a"));
  ASSERT_TRUE(marks.note_ended("20261129T1-a", "10-mail"));
  ASSERT_TRUE(marks.note_ended("20261129T1-a", "20-chat"));
  EXPECT_THAT(HookMarks(folder / "hooks").all(),
              testing::ElementsAre(HookMark{"20261129T1-a", {"10-mail", "20-chat"}},
                                   HookMark{"20261129T2-b"}));
  ASSERT_TRUE(marks.remove("20261129T1-a"));
  EXPECT_TRUE(marks.remove("20261129T1-a"));
  EXPECT_TRUE(marks.note_ended("20261129T1-a", "30-late"));
  EXPECT_THAT(marks.all(), testing::ElementsAre(HookMark{"20261129T2-b"}));
  fs::remove_all(folder);
}

TEST(HookMarksTest, ANameThatWasCutShortNamesNoHook) {
  char name[] = "/tmp/vmcored-marks-XXXXXX";
  const fs::path folder = ::mkdtemp(name);
  std::ofstream(folder / "a") << "10-mail\n20-ch";
  EXPECT_THAT(HookMarks(folder).all(), testing::ElementsAre(HookMark{"a", {"10-mail"}}));
  fs::remove_all(folder);
}

TEST(HookMarksTest, AFolderThatCannotBeMadeIsAnError) {
  EXPECT_FALSE(HookMarks("/proc/none/hooks").set("a"));
}

}  // namespace
}  // namespace vmcore::daemon
