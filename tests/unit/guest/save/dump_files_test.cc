// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/dump_files.h"

#include <gtest/gtest.h>

namespace vmcore::guest::save {
namespace {

using config::Layout;

std::vector<std::string> files(Layout layout) {
  std::vector<std::string> names;
  for (const DumpFile file : kDumpFiles) {
    names.push_back(dump_file(layout, "/crash", "2025-11-21-185133.1", file));
  }
  return names;
}

TEST(DumpFiles, LieInAFolderOrSideBySide) {
  EXPECT_EQ(files(Layout::folders),
            (std::vector<std::string>{
                "/crash/2025-11-21-185133.1/vmcore", "/crash/2025-11-21-185133.1/vmcore.incomplete",
                "/crash/2025-11-21-185133.1/dmesg.txt", "/crash/2025-11-21-185133.1/tag"}));
  EXPECT_EQ(files(Layout::flat),
            (std::vector<std::string>{
                "/crash/vmcore-2025-11-21-185133.1", "/crash/vmcore-2025-11-21-185133.1.incomplete",
                "/crash/dmesg-2025-11-21-185133.1.log", "/crash/tag-2025-11-21-185133.1"}));
}

TEST(DumpFiles, AreFoundByTheirNames) {
  const std::vector<std::string> names = {"2024-01-02-000000",
                                          "2024-01-01-000000",
                                          "dmesg-2025-01-01-000000.log",
                                          "vmcore-2025-01-01-000000.1",
                                          "vmcore-2025-01-01-000000",
                                          "vmcore-2025-01-02-000000.incomplete",
                                          "vmcore-2025-01-03-000000.old",
                                          "vmcore-mine",
                                          "reboot-reason"};
  EXPECT_EQ(dump_times(Layout::folders, names),
            (std::vector<std::string>{"2024-01-01-000000", "2024-01-02-000000"}));
  EXPECT_EQ(
      dump_times(Layout::flat, names),
      (std::vector<std::string>{"2025-01-01-000000", "2025-01-01-000000.1", "2025-01-02-000000"}));
}

TEST(DumpFiles, TheReasonsLieWhereEveOsReadsThem) {
  EXPECT_EQ(reason_folder(Layout::flat, "/persist/kcrashes"), "/persist");
  EXPECT_EQ(reason_folder(Layout::folders, "/persist/kcrashes"), "/persist/kcrashes");
}

}  // namespace
}  // namespace vmcore::guest::save
