#include "src/acquire/dump_target.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <thread>

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

TEST(PrivateFolder, IsForNobodyElseAndGoes) {
  fs::path path;
  {
    auto folder = PrivateFolder::make("/tmp");
    ASSERT_TRUE(folder);
    path = folder->file().parent_path();
    struct stat status {};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0700U);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(DumpTarget, AFifoBringsWhatIsWritten) {
  auto target = DumpTarget::make_fifo();
  ASSERT_TRUE(target) << target.error().message;
  const fs::path path = target->path();
  const Fd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // as libvirt does: may wait
  ASSERT_TRUE(writer);
  target->forget_path();
  EXPECT_FALSE(fs::exists(path.parent_path()));
  ASSERT_EQ(::write(writer.get(), "memory", 6), 6);
  auto fd = target->take();
  ASSERT_TRUE(fd);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
  std::array<char, 16> text{};
  EXPECT_EQ(::read(fd->get(), text.data(), text.size()), 6);
}

TEST(DumpTarget, NobodyIsLeftReadingAFifoThatIsGivenUp) {
  fs::path path;
  Fd writer;
  {
    auto target = DumpTarget::make_fifo();
    ASSERT_TRUE(target);
    path = target->path();
    writer = Fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  }
  EXPECT_FALSE(fs::exists(path));
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(::write(writer.get(), "x", 1), -1);
  EXPECT_EQ(errno, EPIPE);
}

TEST(DumpTarget, TheGuardianLetsAWriterIn) {
  const fs::path path = "/tmp/vmcorectl-test-fifo-" + std::to_string(::getpid());
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  Fd reader(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  auto guardian = FifoGuardian::start(reader.get());
  ASSERT_TRUE(guardian);
  reader.reset();  // as if we were killed
  ::signal(SIGPIPE, SIG_IGN);
  const Fd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  EXPECT_TRUE(writer);
  ::unlink(path.c_str());
  // The first byte is still taken; then nobody reads.
  EXPECT_EQ(::write(writer.get(), "x", 1), 1);
  for (int i = 0; i < 200 && ::write(writer.get(), "x", 1) == 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(::write(writer.get(), "x", 1), -1);
}

TEST(DumpTarget, AFileStaysReadableWithoutItsName) {
  auto target = DumpTarget::make_file("/tmp");
  ASSERT_TRUE(target);
  const fs::path path = target->path();
  const Fd writer(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  ASSERT_EQ(::write(writer.get(), "memory", 6), 6);
  target->forget_path();
  EXPECT_FALSE(fs::exists(path.parent_path()));
  std::array<char, 16> text{};
  EXPECT_EQ(::read(target->fd(), text.data(), text.size()), 6);
}

}  // namespace
}  // namespace vmcore::acquire
