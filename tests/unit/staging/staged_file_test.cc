// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/staging/staged_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

#include "tests/fakes/faulty_sys.h"

namespace {

enum class Place { plain, no_tmpfiles, no_names };
Place place = Place::plain;  // no_tmpfiles: as NFS; no_names: as AppArmor

}  // namespace

// In place of libc's, for the file systems that a test has no room for.
extern "C" int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const unsigned mode = va_arg(arguments, unsigned);
  va_end(arguments);
  if (place == Place::no_tmpfiles && (flags & O_TMPFILE) == O_TMPFILE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
}
extern "C" int linkat(int from, const char* old_path, int to, const char* new_path, int flags) {
  if (place == Place::no_names && flags == AT_SYMLINK_FOLLOW) {
    errno = ENOENT;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_linkat, from, old_path, to, new_path, flags));
}
namespace vmcore::staging {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Each test with unnamed files, and with hidden names.
class StagedFiles : public ::testing::TestWithParam<Place> {
 protected:
  StagedFiles() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    folder_ = ::mkdtemp(folder);
    place = GetParam();
  }
  ~StagedFiles() override {
    place = Place::plain;
    fs::remove_all(folder_);
  }

  StagedFile create(const char* name, bool replace = false) {
    auto file = StagedFile::create(folder_ / name, replace);
    EXPECT_TRUE(file) << file.error().message;
    return *std::move(file);
  }
  void write(const StagedFile& file, std::string_view text) {
    EXPECT_EQ(::write(file.fd(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void put(const char* name, std::string_view text) { std::ofstream(folder_ / name) << text; }
  std::string get(const char* name) {
    std::ifstream in(folder_ / name);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
  }

  fs::path folder_;
};

TEST_P(StagedFiles, AreNamedWhenComplete) {
  {
    StagedFile file = create("out");
    write(file, "content");
    EXPECT_EQ(names().size(), GetParam() == Place::plain ? 0U : 1U);
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    const auto path = file.commit();
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(path->path, folder_ / "out");
    EXPECT_FALSE(path->doubt);
  }
  EXPECT_EQ(names(), std::vector<std::string>{"out"});
  EXPECT_EQ(get("out"), "content");
}

TEST_P(StagedFiles, ArePrivateFromTheFirstByte) {
  const mode_t before = ::umask(0);
  StagedFile file = create("out");
  ::umask(before);
  struct stat status {};
  ASSERT_EQ(::fstat(file.fd(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
  ASSERT_TRUE(file.commit());
  ASSERT_EQ(::stat((folder_ / "out").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600U);
}

TEST_P(StagedFiles, LeaveNothingBehindUnlessCommitted) {
  {
    const StagedFile file = create("out");
    write(file, "content");
    StagedFile moved = create("other");
    const StagedFile owner = std::move(moved);
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_P(StagedFiles, AnExistingTargetIsRefusedAtOnce) {
  put("out", "old");
  const auto file = StagedFile::create(folder_ / "out", false);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Errc::exists);
  EXPECT_THAT(file.error().message, HasSubstr("--force"));
}

TEST_P(StagedFiles, ATargetThatAppearsMeanwhileIsNotOverwritten) {
  {
    StagedFile file = create("out");
    put("out", "theirs");
    const auto path = file.commit();
    ASSERT_FALSE(path);
    EXPECT_EQ(path.error().code, Errc::exists);
    EXPECT_THAT(path.error().message, HasSubstr((folder_ / "out").string()));
  }
  EXPECT_EQ(get("out"), "theirs");
  EXPECT_EQ(names().size(), 1U);
}

TEST_P(StagedFiles, ReplacingIsAtomic) {
  put("out", "old");
  const int old = ::open((folder_ / "out").c_str(), O_RDONLY | O_CLOEXEC);
  {
    StagedFile file = create("out", true);
    write(file, "new");
    EXPECT_EQ(get("out"), "old");
    ASSERT_TRUE(file.commit());
  }
  EXPECT_EQ(get("out"), "new");
  EXPECT_EQ(names().size(), 1U);
  char byte = 0;
  EXPECT_EQ(::read(old, &byte, 1), 1);  // whoever reads the old file still can
  EXPECT_EQ(byte, 'o');
  ::close(old);
}

TEST_P(StagedFiles, ReplacingGetsPastWhatAKilledProcessLeft) {
  put("out", "old");
  put(fmt::format(".vmcorectl-{}", ::getpid()).c_str(), "left");
  {
    StagedFile file = create("out", true);
    write(file, "new");
    ASSERT_TRUE(file.commit());
  }
  EXPECT_EQ(get("out"), "new");
  EXPECT_EQ(names().size(), 1U);
}

TEST_P(StagedFiles, ASuffixNamesAnotherFile) {
  put("out", "old");
  StagedFile file = create("out", true);
  write(file, "half");
  const auto path = file.commit_aside(".incomplete");
  ASSERT_TRUE(path);
  EXPECT_EQ(path->path, folder_ / "out.incomplete");
  EXPECT_EQ(get("out"), "old");
  EXPECT_EQ(get("out.incomplete"), "half");
}

TEST_P(StagedFiles, WhatIsPutAsideTakesTheNextFreeNameAndReplacesNothing) {
  for (const bool replace : {false, true}) {
    for (const char* name : {"out.incomplete", "out.incomplete.1"}) {
      put(name, "old");
    }
    {
      StagedFile file = create("out", replace);
      write(file, "half");
      const auto path = file.commit_aside(".incomplete");
      ASSERT_TRUE(path) << path.error().message;
      EXPECT_EQ(path->path, folder_ / "out.incomplete.2");
    }
    EXPECT_EQ(get("out.incomplete"), "old");
    EXPECT_EQ(get("out.incomplete.1"), "old");
    EXPECT_EQ(get("out.incomplete.2"), "half");
    EXPECT_EQ(names().size(), 3U);
    fs::remove(folder_ / "out.incomplete.2");
  }
}

TEST_P(StagedFiles, PuttingAsideEnds) {
  put("out.incomplete", "old");
  for (int i = 1; i <= 99; ++i) {
    put(fmt::format("out.incomplete.{}", i).c_str(), "old");
  }
  StagedFile file = create("out");
  const auto path = file.commit_aside(".incomplete");
  ASSERT_FALSE(path);
  EXPECT_EQ(path.error().code, Errc::exists);
  EXPECT_THAT(path.error().message, HasSubstr("out.incomplete to .99 exist already"));
}

TEST_P(StagedFiles, OnlyFilesAreReplaced) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  for (const char* target : {"fifo", "."}) {
    EXPECT_EQ(StagedFile::create(folder_ / target, true).error().code, Errc::invalid) << target;
  }
  EXPECT_EQ(StagedFile::create("/dev/null", true).error().code, Errc::invalid);
  EXPECT_EQ(StagedFile::create(folder_ / "", true).error().code, Errc::invalid);
}

TEST_P(StagedFiles, ALinkStaysAndItsFileIsReplaced) {
  fs::create_directory(folder_ / "sub");
  put("sub/file", "old");
  fs::create_symlink("sub/file", folder_ / "out");
  const auto refused = StagedFile::create(folder_ / "out", false);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exists);
  EXPECT_THAT(refused.error().message, HasSubstr("sub/file exists already"));
  {
    StagedFile file = create("out", true);
    write(file, "new");
    EXPECT_EQ(get("sub/file"), "old");
    const auto kept = file.commit();
    ASSERT_TRUE(kept);
    EXPECT_EQ(kept->path, folder_ / "sub/file");
  }
  EXPECT_EQ(get("sub/file"), "new");
  EXPECT_EQ(fs::read_symlink(folder_ / "out"), "sub/file");
  EXPECT_EQ(names(), (std::vector<std::string>{"out", "sub"}));
}

TEST_P(StagedFiles, ADanglingLinkGetsItsFile) {
  fs::create_symlink("later", folder_ / "out");
  StagedFile file = create("out");
  write(file, "new");
  ASSERT_TRUE(file.commit());
  EXPECT_EQ(get("later"), "new");
  EXPECT_TRUE(fs::is_symlink(folder_ / "out"));
}

TEST_P(StagedFiles, WhatIsPutAsideOfALinkLiesBesideItsFile) {
  fs::create_directory(folder_ / "sub");
  fs::create_symlink("sub/file", folder_ / "out");
  StagedFile file = create("out");
  write(file, "half");
  const auto kept = file.commit_aside(".incomplete");
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->path, folder_ / "sub/file.incomplete");
  EXPECT_EQ(get("sub/file.incomplete"), "half");
}

TEST_P(StagedFiles, WhatTookTheFilesPlaceMeanwhileIsNotReplaced) {
  put("precious", "keep");
  put("out", "old");
  StagedFile file = create("out", true);
  write(file, "new");
  fs::remove(folder_ / "out");
  fs::create_symlink("precious", folder_ / "out");
  const auto kept = file.commit();
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().code, Errc::exists);
  EXPECT_TRUE(fs::is_symlink(folder_ / "out"));
  EXPECT_EQ(get("precious"), "keep");
}

TEST_P(StagedFiles, AFileWhoseFolderCannotBeSyncedIsThereAllTheSame) {
  for (const bool aside : {false, true}) {
    StagedFile file = create("out", true);
    write(file, "content");
    fakes::faults.syncs_left = 1;
    const auto kept = aside ? file.commit_aside(".incomplete") : file.commit();
    fakes::no_faults();
    ASSERT_TRUE(kept) << kept.error().message;
    EXPECT_EQ(kept->path, folder_ / (aside ? "out.incomplete" : "out"));
    EXPECT_EQ(get(kept->path.filename().c_str()), "content");
    ASSERT_TRUE(kept->doubt);
    EXPECT_THAT(kept->doubt->text, HasSubstr("may not survive a power cut"));
    EXPECT_THAT(kept->doubt->text, HasSubstr("Input/output error"));
  }
  put("out", "old");
  StagedFile file = create("out", true);
  fakes::faults.syncs_left = 1;
  const auto kept = file.commit();  // renamed over the old one
  fakes::no_faults();
  ASSERT_TRUE(kept);
  EXPECT_TRUE(kept->doubt);
}

TEST_P(StagedFiles, AFileThatCannotBeSyncedGetsNoName) {
  {
    StagedFile file = create("out");
    fakes::faults.syncs_left = 0;
    const auto kept = file.commit();
    fakes::no_faults();
    ASSERT_FALSE(kept);
    EXPECT_EQ(kept.error().code, Errc::io);
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_P(StagedFiles, TheFolderMustExist) {
  const auto file = StagedFile::create(folder_ / "missing/out", false);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().code, Errc::not_found);
  EXPECT_THAT(file.error().message, HasSubstr("missing"));
}

TEST_P(StagedFiles, UnlinkedFilesHaveNoName) {
  const auto file = create_unlinked(folder_);
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(::write(file->get(), "x", 1), 1);
  EXPECT_THAT(names(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Kinds, StagedFiles,
                         ::testing::Values(Place::plain, Place::no_tmpfiles, Place::no_names),
                         [](const auto& tested) {
                           return std::string(tested.param == Place::plain ? "UnnamedFiles"
                                              : tested.param == Place::no_tmpfiles
                                                  ? "HiddenNames"
                                                  : "NamesRefused");
                         });

TEST(FreeSpace, OfAFolder) {
  EXPECT_GT(*free_space("/tmp"), 0U);
  EXPECT_EQ(free_space("/nowhere").error().code, Errc::not_found);
}

}  // namespace
}  // namespace vmcore::staging
