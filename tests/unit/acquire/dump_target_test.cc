// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/dump_target.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

TEST(PrivateFolder, IsForNobodyElseAndGoes) {
  fs::path path;
  {
    auto folder = PrivateFolder::make("/tmp");
    ASSERT_TRUE(folder);
    path = folder->path();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
  }
  EXPECT_FALSE(fs::exists(path));
}

std::string read_some(int fd) {
  std::array<char, 16> text{};
  const ssize_t got = ::read(fd, text.data(), text.size());
  return {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

TEST(DumpTarget, APipeBringsWhatIsWritten) {
  auto target = DumpTarget::of_pipe(*make_pipe());
  ASSERT_TRUE(target) << target.error().message;
  Fd writer(::open(target->path().c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));  // as libvirt does
  ASSERT_TRUE(writer) << target->path();
  target->forget_path();
  EXPECT_LT(::open(target->path().c_str(), O_WRONLY | O_CLOEXEC), 0);
  ASSERT_EQ(::write(writer.get(), "memory", 6), 6);
  writer.reset();
  const Fd reader = target->take();
  EXPECT_EQ(read_some(reader.get()), "memory");
  EXPECT_EQ(read_some(reader.get()), "");
}

TEST(DumpTarget, NobodyIsLeftReadingAPipeThatIsGivenUp) {
  Fd writer;
  {
    auto target = DumpTarget::of_pipe(*make_pipe());
    ASSERT_TRUE(target);
    writer = Fd(::open(target->path().c_str(), O_WRONLY | O_CLOEXEC));
  }
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(::write(writer.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST(DumpTarget, AFileStaysReadableWithoutItsName) {
  auto target = DumpTarget::make_file("/tmp");
  ASSERT_TRUE(target);
  const Fd writer(::open(target->path().c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  ASSERT_EQ(::write(writer.get(), "memory", 6), 6);
  target->forget_path();
  EXPECT_FALSE(fs::exists(target->path()));
  EXPECT_EQ(read_some(target->fd()), "memory");
}

}  // namespace
}  // namespace vmcore::acquire
