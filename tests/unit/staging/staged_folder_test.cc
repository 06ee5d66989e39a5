// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/staging/staged_folder.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fakes/faulty_sys.h"

namespace vmcore::staging {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class StagedFolders : public ::testing::Test {
 protected:
  StagedFolders() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    path_ = ::mkdtemp(folder);
    parent_ = Fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  ~StagedFolders() override {
    fakes::no_faults();
    fs::remove_all(path_);
  }

  StagedFolder folder() { return StagedFolder::create(parent_.get(), ".new", path_).value(); }
  void write(const StagedFolder& folder, const std::string& name, const std::string& text) {
    ASSERT_TRUE(write_file_at(folder.fd(), name, text, 0600));
  }
  std::string text(const std::string& name) {
    std::ifstream file(fs::path(path_) / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<std::string> names() { return names_in(parent_.get(), path_).value(); }
  mode_t mode(const std::string& name) {
    struct stat status {};
    EXPECT_EQ(::stat((path_ + "/" + name).c_str(), &status), 0);
    return status.st_mode & 07777U;
  }

  std::string path_;
  Fd parent_;
};

TEST_F(StagedFolders, AppearAsAWhole) {
  StagedFolder folder = this->folder();
  write(folder, "one", "1");
  write(folder, "two", "2");
  EXPECT_EQ(mode(".new"), 0700U);
  ASSERT_TRUE(folder.commit("crash", 0750));
  EXPECT_THAT(names(), UnorderedElementsAre("crash"));
  EXPECT_EQ(text("crash/one"), "1");
  EXPECT_EQ(text("crash/two"), "2");
  EXPECT_EQ(mode("crash"), 0750U);
  EXPECT_EQ(mode("crash/one"), 0600U);
  EXPECT_EQ(folder.path(), path_ + "/crash");
}

TEST_F(StagedFolders, VanishUncommitted) {
  {
    StagedFolder folder = this->folder();
    write(folder, "one", "1");
    StagedFolder moved = std::move(folder);
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(StagedFolders, StayWhereTheyAreLeft) {
  {
    StagedFolder folder = this->folder();
    write(folder, "one", "1");
    folder.leave();
  }
  EXPECT_THAT(names(), UnorderedElementsAre(".new"));
  auto adopted = StagedFolder::adopt(parent_.get(), ".new", path_);
  ASSERT_TRUE(adopted);
  ASSERT_TRUE(adopted->commit("crash", 0700));
  EXPECT_EQ(text("crash/one"), "1");
}

TEST_F(StagedFolders, NeverReplaceWhatHasTheirName) {
  fs::create_directory(path_ + "/crash");
  {
    StagedFolder folder = this->folder();
    write(folder, "one", "1");
    const auto committed = folder.commit("crash", 0700);
    ASSERT_FALSE(committed);
    EXPECT_EQ(committed.error().code, Errc::exists);
  }
  EXPECT_THAT(names(), UnorderedElementsAre("crash"));
  EXPECT_TRUE(fs::is_empty(path_ + "/crash"));
}

TEST_F(StagedFolders, HaveNoNameWhereTheyCannotBeSynced) {
  for (int syncs = 0; syncs < 3; ++syncs) {  // two files and the folder
    {
      StagedFolder folder = this->folder();
      write(folder, "one", "1");
      write(folder, "two", "2");
      fakes::faults.syncs_left = syncs;
      EXPECT_FALSE(folder.commit("crash", 0700));
      fakes::no_faults();
    }
    EXPECT_THAT(names(), IsEmpty()) << syncs;
  }
}

TEST_F(StagedFolders, KeepTheirNameWhereTheParentCannotBeSynced) {
  StagedFolder folder = this->folder();
  fakes::faults.syncs_left = 1;  // the folder, and no more
  const auto committed = folder.commit("crash", 0700);
  ASSERT_TRUE(committed);
  ASSERT_TRUE(*committed);
  EXPECT_THAT((*committed)->text, HasSubstr("may not survive a power cut"));
  EXPECT_THAT(names(), UnorderedElementsAre("crash"));
}

TEST_F(StagedFolders, HandDownTheGroup) {
  ASSERT_EQ(::chmod(path_.c_str(), 02750), 0);
  StagedFolder folder = this->folder();
  ASSERT_TRUE(folder.commit("crash", 0750));
  EXPECT_EQ(mode("crash"), 02750U);
}

TEST_F(StagedFolders, FollowNoLinks) {
  fs::create_directory(path_ + "/elsewhere");
  std::ofstream(path_ + "/elsewhere/file") << "precious";
  fs::create_symlink("elsewhere", path_ + "/.new");
  EXPECT_FALSE(StagedFolder::create(parent_.get(), ".new", path_));
  const auto adopted = StagedFolder::adopt(parent_.get(), ".new", path_);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(adopted.error().code, Errc::malformed);
  EXPECT_FALSE(remove_folder_at(parent_.get(), ".new", path_));
  EXPECT_EQ(text("elsewhere/file"), "precious");
}

TEST_F(StagedFolders, ALinkInAFolderGoesWithoutItsTarget) {
  std::ofstream(path_ + "/file") << "precious";
  fs::create_directory(path_ + "/crash");
  fs::create_symlink(path_ + "/file", path_ + "/crash/link");
  ASSERT_TRUE(remove_folder_at(parent_.get(), "crash", path_));
  EXPECT_EQ(text("file"), "precious");
}

TEST_F(StagedFolders, SmallFilesAreReplacedAsAWhole) {
  ASSERT_TRUE(write_file_at(parent_.get(), "state", "old", 0640));
  EXPECT_EQ(mode("state"), 0640U);
  fakes::faults.writes_left = 0;
  const auto written = write_file_at(parent_.get(), "state", "new", 0640);
  fakes::no_faults();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Errc::no_space);
  EXPECT_EQ(text("state"), "old");
  EXPECT_THAT(names(), UnorderedElementsAre("state"));
  ASSERT_TRUE(write_file_at(parent_.get(), "state", "new", 0640));
  EXPECT_EQ(text("state"), "new");
}

TEST_F(StagedFolders, SyncWhatWasOnlyAdded) {
  const StagedFolder folder = this->folder();
  fakes::faults.syncs_left = 0;
  EXPECT_FALSE(write_file_at(folder.fd(), "state", "1", 0600));
  ASSERT_TRUE(add_file_at(folder.fd(), "one", "1", 0640));
  ASSERT_TRUE(add_file_at(folder.fd(), "one", "2", 0640));
  EXPECT_EQ(text(".new/one"), "2");
  EXPECT_EQ(mode(".new/one"), 0640U);
  EXPECT_FALSE(folder.sync());
  fakes::faults.syncs_left = 1;  // of the file, and then of the folder
  EXPECT_FALSE(folder.sync());
  fakes::no_faults();
  EXPECT_TRUE(folder.sync());
}

}  // namespace
}  // namespace vmcore::staging
