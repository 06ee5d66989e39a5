// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/available_memory.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;

class AvailableMemory : public ::testing::Test {
 protected:
  AvailableMemory() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    root_ = ::mkdtemp(folder);
    put("proc/meminfo",
        "MemTotal:  8000 kB\nMemFree: 10 kB\nMemAvailable:    4000 kB\nHugePages_Total: 0\n");
    put("proc/self/cgroup", "0::/a/b\n");
  }
  ~AvailableMemory() override { fs::remove_all(root_); }

  void put(const fs::path& name, std::string_view text) {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
  }

  fs::path root_;
};

TEST_F(AvailableMemory, IsTheHosts) {
  EXPECT_EQ(available_memory(root_), 4'096'000U);
  put("sys/fs/cgroup/a/b/memory.max", "max\n");
  put("sys/fs/cgroup/a/b/memory.current", "1000\n");
  EXPECT_EQ(available_memory(root_), 4'096'000U);
}

TEST_F(AvailableMemory, IsWhatTheTightestCgroupHasLeft) {
  put("sys/fs/cgroup/a/b/memory.max", "3000000\n");
  put("sys/fs/cgroup/a/b/memory.current", "1000\n");
  EXPECT_EQ(available_memory(root_), 2'999'000U);
  put("sys/fs/cgroup/a/memory.max", "5000\n");
  put("sys/fs/cgroup/a/memory.current", "2000\n");
  EXPECT_EQ(available_memory(root_), 3000U);
  put("sys/fs/cgroup/a/memory.current", "6000\n");
  EXPECT_EQ(available_memory(root_), 0U);
}

TEST_F(AvailableMemory, InAContainerTheTopHasALimit) {
  put("proc/self/cgroup", "0::/\n");
  put("sys/fs/cgroup/memory.max", "9000\n");
  put("sys/fs/cgroup/memory.current", "2000\n");
  EXPECT_EQ(available_memory(root_), 7000U);
}

TEST_F(AvailableMemory, NothingWhereTheHostDoesNotTell) {
  EXPECT_EQ(available_memory(root_ / "none"), 0U);
}

TEST(AvailableMemoryHere, IsSomething) { EXPECT_GT(available_memory(), 0U); }

}  // namespace
}  // namespace vmcore::job
