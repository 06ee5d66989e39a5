// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/place_cache.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "src/acquire/process/guest_process.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using acquire::ProcessKey;

class PlaceCacheTest : public ::testing::Test {
 protected:
  ~PlaceCacheTest() override { fs::remove_all(parent_); }

  fs::path file(const ProcessKey& process) const {
    return folder_ / fmt::format("{}-{}.place", process.pid, process.start_time);
  }
  void write(const std::string& text) const { std::ofstream(file(self_)) << text; }

  const PlaceCache& cache() const { return cache_; }
  static fs::path make_folder() {
    char name[] = "/tmp/places.XXXXXX";
    return ::mkdtemp(name);
  }

  const fs::path parent_ = make_folder();
  const fs::path folder_ = parent_ / "vmcorectl";
  const ProcessKey self_{::getpid(), *acquire::start_time(::getpid())};
  const InfoPlace place_{{0x1'2345'6000}, "0123456789abcdef"};

 private:
  PlaceCache cache_{acquire::ProcessNotes(folder_)};
};

TEST_F(PlaceCacheTest, RemembersForTheUserAlone) {
  EXPECT_FALSE(cache().recall(self_));
  cache().remember(self_, place_);
  EXPECT_EQ(cache().recall(self_), place_);
  struct stat status {};
  ASSERT_EQ(::stat(folder_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0700U);
  ASSERT_EQ(::stat(file(self_).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0600U);
}

TEST_F(PlaceCacheTest, AKernelWithoutBuildId) {
  cache().remember(self_, {place_.address, ""});
  EXPECT_EQ(cache().recall(self_), (InfoPlace{place_.address, ""}));
}

TEST_F(PlaceCacheTest, ANewPlaceReplacesTheOld) {
  cache().remember(self_, place_);
  cache().remember(self_, {{0x7000}, "fe"});
  EXPECT_EQ(cache().recall(self_), (InfoPlace{{0x7000}, "fe"}));
}

TEST_F(PlaceCacheTest, AnotherProcessOfTheSameNumberKnowsNothing) {
  cache().remember(self_, place_);
  EXPECT_FALSE(cache().recall({self_.pid, self_.start_time + 1}));
}

TEST_F(PlaceCacheTest, WhatBelongsToTheDeadGoes) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  const ProcessKey dead{child, 1};
  const ProcessKey before{self_.pid, self_.start_time - 1};
  cache().remember(dead, place_);
  cache().remember(before, place_);
  for (const char* name : {"README", "0-5.ram", "-1-5.ram", "5.ram", "5-.ram", "-5.ram", "5-5"}) {
    std::ofstream(folder_ / name) << "not ours\n";
  }
  cache().remember(self_, place_);
  EXPECT_FALSE(fs::exists(file(dead)));
  EXPECT_FALSE(fs::exists(file(before)));
  for (const char* name : {"README", "0-5.ram", "-1-5.ram", "5.ram", "5-.ram", "-5.ram", "5-5"}) {
    EXPECT_TRUE(fs::exists(folder_ / name)) << name;
  }
  EXPECT_TRUE(cache().recall(self_));
}

TEST_F(PlaceCacheTest, HostileContentsAreNone) {
  cache().remember(self_, place_);
  for (const std::string text :
       {"", "\n", " \n", "12345000", "12345000 ", "12345 ab\n", "xyz ab\n", "12345000 XY\n",
        "ffffffffffffffff000 ab\n", "fffffffffffff000 ab\n", "-1000 ab\n", "12345000 ab\nab\n"}) {
    write(text);
    EXPECT_FALSE(cache().recall(self_)) << text;
  }
  write("12345000 " + std::string(1 << 20, 'a') + "\n");
  EXPECT_FALSE(cache().recall(self_));
  write("12345000 ab\n");
  EXPECT_TRUE(cache().recall(self_));
}

TEST_F(PlaceCacheTest, AFifoOrLinkIsNone) {
  cache().remember(self_, place_);
  fs::rename(file(self_), folder_ / "elsewhere");
  ASSERT_EQ(::mkfifo(file(self_).c_str(), 0600), 0);
  EXPECT_FALSE(cache().recall(self_));
  fs::remove(file(self_));
  fs::create_symlink("elsewhere", file(self_));
  EXPECT_FALSE(cache().recall(self_));
}

TEST_F(PlaceCacheTest, AFolderThatOthersSeeIsNotUsed) {
  cache().remember(self_, place_);
  ::chmod(folder_.c_str(), 0750);
  EXPECT_FALSE(cache().recall(self_));
  cache().remember(self_, {{0x7000}, ""});
  ::chmod(folder_.c_str(), 0700);
  EXPECT_EQ(cache().recall(self_), place_);
}

TEST_F(PlaceCacheTest, NorIsALink) {
  fs::create_directory(parent_ / "elsewhere");
  ::chmod((parent_ / "elsewhere").c_str(), 0700);
  fs::create_symlink("elsewhere", folder_);
  cache().remember(self_, place_);
  EXPECT_TRUE(fs::is_empty(parent_ / "elsewhere"));
}

TEST(PlaceCache, NoFolderIsNoCache) {
  const PlaceCache none{acquire::ProcessNotes(fs::path())};
  none.remember({1, 1}, {});
  EXPECT_FALSE(none.recall({1, 1}));
}

TEST(StartTime, OfAProcessWithAnyName) {
  EXPECT_FALSE(acquire::start_time(0));
  const auto before = acquire::start_time(::getpid());
  ASSERT_TRUE(before);
  std::ofstream("/proc/self/comm") << "a) R 1 2 (";
  EXPECT_EQ(acquire::start_time(::getpid()), before);
}

}  // namespace
}  // namespace vmcore::job
