// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/base/pipe.h"

namespace vmcore {
namespace {

using std::chrono::milliseconds;

int sleep_for_ever() {
  while (true) {
    ::pause();
  }
}

TEST(Process, EndsWithTheStatusThatTheChildReturns) {
  auto process = Process::start([] { return 7; });
  ASSERT_TRUE(process);
  const auto status = process->wait();
  ASSERT_TRUE(status);
  EXPECT_EQ(ending(*status), "exit status 7");
  EXPECT_EQ(process->pid(), -1);
}

TEST(Process, APidfdIsReadableWhenItHasEnded) {
  auto process = Process::start(sleep_for_ever);
  ASSERT_TRUE(process);
  const auto pidfd = open_pidfd(process->pid());
  ASSERT_TRUE(pidfd) << pidfd.error().message;
  EXPECT_FALSE(is_readable(pidfd->get()));
  kill_process(*pidfd);
  EXPECT_EQ(ending(process->wait().value()), "killed by signal 9 (Killed)");
  EXPECT_TRUE(is_readable(pidfd->get()));
}

TEST(Process, OneThatHasEndedHasNoPidfd) {
  auto process = Process::start([] { return 0; });
  const pid_t pid = process->pid();
  ASSERT_TRUE(process->wait());
  EXPECT_EQ(open_pidfd(pid).error().code, Errc::not_found);
}

TEST(Process, IsKilledAndReapedWithTheObject) {
  pid_t pid = 0;
  {
    const auto process = Process::start(sleep_for_ever);
    ASSERT_TRUE(process);
    pid = process->pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(::waitpid(pid, nullptr, 0), -1);
}

TEST(Process, AMovedOneIsTheSameProcess) {
  auto first = Process::start(sleep_for_ever);
  ASSERT_TRUE(first);
  const pid_t pid = first->pid();
  Process second;
  second = std::move(*first);
  EXPECT_EQ(first->pid(), -1);
  EXPECT_EQ(second.pid(), pid);
  second.kill();
  EXPECT_EQ(ending(*second.wait()), "killed by signal 9 (Killed)");
}

TEST(Process, IsWaitedForNoLongerThanAsked) {
  auto process = Process::start(sleep_for_ever);
  ASSERT_TRUE(process);
  const auto status = process->wait_for(milliseconds(1));
  ASSERT_TRUE(status);
  EXPECT_FALSE(*status);
  process->kill();
  const auto killed = process->wait_for(std::chrono::minutes(1));
  ASSERT_TRUE(killed && *killed);
  EXPECT_TRUE(WIFSIGNALED(**killed));
}

TEST(Process, OneThatIsGoneCannotBeWaitedFor) {
  Process none;
  none.kill();  // kills nobody
  EXPECT_FALSE(none.wait());
}

TEST(Pipe, BringsWhatWasWrittenAndIsClosedByExec) {
  auto pipe = make_pipe(O_NONBLOCK);
  ASSERT_TRUE(pipe);
  EXPECT_EQ(::write(pipe->in.get(), "x", 1), 1);
  char byte = 0;
  EXPECT_EQ(::read(pipe->out.get(), &byte, 1), 1);
  EXPECT_EQ(byte, 'x');
  for (const Fd* end : {&pipe->out, &pipe->in}) {
    EXPECT_NE(::fcntl(end->get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(end->get(), F_GETFL) & O_NONBLOCK, 0);
  }
}

}  // namespace
}  // namespace vmcore
