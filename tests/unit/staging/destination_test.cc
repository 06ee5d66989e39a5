// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/staging/destination.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <fstream>

namespace vmcore::staging {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Kind = Destination::Kind;

class Destinations : public ::testing::Test {
 protected:
  Destinations() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~Destinations() override { fs::remove_all(folder_); }

  void put(const char* name) { std::ofstream(folder_ / name) << "x"; }
  void link(const fs::path& to, const char* name) { fs::create_symlink(to, folder_ / name); }
  Destination find(const fs::path& target) {
    auto found = find_destination(target);
    EXPECT_TRUE(found) << found.error().message;
    return found ? *std::move(found) : Destination{};
  }
  Error refused(const fs::path& target) {
    const auto found = find_destination(target);
    EXPECT_FALSE(found) << target;
    return found ? Error{} : found.error();
  }

  fs::path folder_;
};

TEST_F(Destinations, AFileThatIsThereAndOneThatIsNot) {
  put("file");
  Destination found = find(folder_ / "file");
  EXPECT_EQ(found.kind, Kind::file);
  EXPECT_TRUE(found.exists);
  EXPECT_EQ(found.name, "file");
  found = find(folder_ / "new");
  EXPECT_FALSE(found.exists);
  EXPECT_EQ(found.path, folder_ / "new");
}

TEST_F(Destinations, LinksAreFollowedFromWhereTheyLie) {
  fs::create_directory(folder_ / "sub");
  put("sub/file");
  link("sub/second", "first");
  link("file", "sub/second");
  link(folder_ / "first", "whole");
  for (const char* const name : {"first", "whole", "sub/second"}) {
    const Destination found = find(folder_ / name);
    EXPECT_TRUE(found.exists);
    EXPECT_EQ(found.path, folder_ / "sub/file") << name;
    struct stat in {};
    struct stat sub {};
    ASSERT_EQ(::fstat(found.folder.get(), &in), 0);
    ASSERT_EQ(::stat((folder_ / "sub").c_str(), &sub), 0);
    EXPECT_EQ(in.st_ino, sub.st_ino);
  }
}

TEST_F(Destinations, ADanglingLinkNamesWhatIsToBeMade) {
  link("not yet", "link");
  const Destination found = find(folder_ / "link");
  EXPECT_EQ(found.kind, Kind::file);
  EXPECT_FALSE(found.exists);
  EXPECT_EQ(found.path, folder_ / "not yet");
  link("nowhere/file", "lost");
  EXPECT_EQ(refused(folder_ / "lost").code, Errc::not_found);
}

TEST_F(Destinations, LinksThatGoRound) {
  link("b", "a");
  link("a", "b");
  EXPECT_THAT(refused(folder_ / "a").message, HasSubstr("Too many levels"));
}

TEST_F(Destinations, WhatNoOutputGoesTo) {
  link("/dev/null", "null");
  link(".", "folder");
  link("/proc/self/exe", "program");
  EXPECT_THAT(refused(folder_ / "null").message, HasSubstr("(a link to /dev/null) is a device"));
  EXPECT_THAT(refused("/dev/null").message, HasSubstr("/dev/null is a device"));
  EXPECT_THAT(refused(folder_ / "folder").message, HasSubstr("is a folder"));
  EXPECT_THAT(refused(folder_).message, HasSubstr("is a folder"));
  EXPECT_THAT(refused(folder_ / "x/").message, HasSubstr("does not name a file"));
  EXPECT_EQ(refused(folder_ / "program").code, Errc::invalid);
  EXPECT_EQ(refused(fmt::format("/proc/{}/fd/0", ::getppid())).code, Errc::invalid);
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::strcpy(address.sun_path, (folder_ / "socket").c_str());
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ::close(listener);
  EXPECT_THAT(refused(folder_ / "socket").message, HasSubstr("device or socket"));
}

// As a program has it that was started with it: without close-on-exec.
TEST_F(Destinations, ADescriptorThatWasGiven) {
  const int given = ::open((folder_ / "given").c_str(), O_WRONLY | O_CREAT, 0600);
  link(fmt::format("/proc/self/fd/{}", given), "link");
  for (const fs::path& path : {fs::path(fmt::format("/dev/fd/{}", given)), folder_ / "link"}) {
    Destination found = find(path);
    ASSERT_EQ(found.kind, Kind::descriptor);
    const auto stream = open_stream(std::move(found));
    ASSERT_TRUE(stream);
    EXPECT_EQ(::write(stream->get(), "abc", 3), 3);
  }
  EXPECT_EQ(fs::file_size(folder_ / "given"), 6U);  // one behind the other
  ::close(given);
  EXPECT_EQ(refused(folder_ / "link").code, Errc::invalid);
}

TEST_F(Destinations, ADescriptorThatWasNotGiven) {
  const Fd own(::open((folder_ / "own").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_THAT(refused(fmt::format("/dev/fd/{}", own.get())).message, HasSubstr("started with"));
  const int read_only = ::open((folder_ / "own").c_str(), O_RDONLY);
  EXPECT_THAT(refused(fmt::format("/dev/fd/{}", read_only)).message,
              HasSubstr("not open for writing"));
  ::close(read_only);
  EXPECT_THAT(refused("/dev/stderr").message, HasSubstr("is for messages"));
}

TEST_F(Destinations, StandardOutputByItsNames) {
  link("/dev/stdout", "link");
  EXPECT_TRUE(is_standard_output("/dev/stdout"));
  EXPECT_TRUE(is_standard_output("/proc/self/fd/1"));
  EXPECT_TRUE(is_standard_output(folder_ / "link"));
  EXPECT_FALSE(is_standard_output(folder_ / "stdout"));
}

TEST_F(Destinations, AFifoNeedsAReader) {
  ASSERT_EQ(::mkfifo((folder_ / "fifo").c_str(), 0600), 0);
  link("fifo", "link");
  for (const char* const name : {"fifo", "link"}) {
    Destination found = find(folder_ / name);
    ASSERT_EQ(found.kind, Kind::fifo);
    const auto nobody = open_stream(std::move(found));
    ASSERT_FALSE(nobody);
    EXPECT_THAT(nobody.error().message, HasSubstr("has no reader"));
  }
  const Fd reader(::open((folder_ / "fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  // To look where it leads opens nothing: its reader would take that for the end.
  static_cast<void>(find(folder_ / "fifo"));
  auto stream = open_stream(find(folder_ / "link"));
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ(::fcntl(stream->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::write(stream->get(), "abc", 3), 3);
}

TEST_F(Destinations, ALinkOfAnotherUserWhereAnybodyMayIsNotFollowed) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can make another user's link";
  }
  constexpr uid_t kOther = 65534;
  link("target", "link");
  ASSERT_EQ(::lchown((folder_ / "link").c_str(), kOther, kOther), 0);
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  EXPECT_EQ(find(folder_ / "link").path, folder_ / "target");
  ASSERT_EQ(::chmod(folder_.c_str(), 01777), 0);
  const Error error = refused(folder_ / "link");
  EXPECT_EQ(error.code, Errc::denied);
  EXPECT_THAT(error.message, HasSubstr("uid 65534"));
  ASSERT_EQ(::lchown((folder_ / "link").c_str(), 0, 0), 0);
  EXPECT_EQ(find(folder_ / "link").path, folder_ / "target");
}

}  // namespace
}  // namespace vmcore::staging
