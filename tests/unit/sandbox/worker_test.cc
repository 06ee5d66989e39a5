// SPDX-License-Identifier: GPL-2.0-or-later
// Programs that die in place of vmcore-worker.
#include "src/sandbox/worker.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>

namespace vmcore::sandbox {
namespace {

using ::testing::HasSubstr;

class FakeWorker : public ::testing::Test {
 protected:
  FakeWorker() {
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    folder_ = ::mkdtemp(folder);
  }
  ~FakeWorker() override { std::filesystem::remove_all(folder_); }

  // A worker that is this shell script; its channel is descriptor 3.
  Worker start(std::string_view script) {
    const auto path = folder_ / "worker";
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    ::chmod(path.c_str(), 0700);
    auto worker = Worker::start(path);
    EXPECT_TRUE(worker) << worker.error().message;
    return *std::move(worker);
  }

  std::filesystem::path folder_;
};

TEST_F(FakeWorker, DeathBySignalIsDescribed) {
  Worker worker = start("kill -SEGV $$");
  const auto event = worker.next_event();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, Errc::io);
  EXPECT_THAT(event.error().message, HasSubstr("killed by signal 11"));
}

TEST_F(FakeWorker, AnEarlyExitIsDescribed) {
  Worker worker = start("exit 7");
  const auto event = worker.next_event();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, Errc::io);
  EXPECT_THAT(event.error().message, HasSubstr("exit status 7"));
}

void wait_for_the_end(const Worker& worker) {
  pollfd wait{worker.fd(), POLLRDHUP, 0};
  while (::poll(&wait, 1, -1) < 0 || (wait.revents & (POLLRDHUP | POLLHUP)) == 0) {
  }
}

// Not Errc::cancelled, which would be the user's own wish.
TEST_F(FakeWorker, DeathIsDescribedWhateverIsSent) {
  Worker first = start("exit 5");
  wait_for_the_end(first);
  const auto asked = first.request({}, {});
  ASSERT_FALSE(asked);
  EXPECT_EQ(asked.error().code, Errc::io);
  Worker second = start("kill -KILL $$");
  wait_for_the_end(second);
  const auto answered = second.have({}, {});
  ASSERT_FALSE(answered);
  EXPECT_EQ(answered.error().code, Errc::io);
  EXPECT_THAT(answered.error().message, HasSubstr("signal 9"));
}

TEST_F(FakeWorker, AClosedChannelIsTheEndOfAWorkerThatLives) {
  Worker worker = start("exec 3>&-; exec /bin/sleep 1000");
  const pid_t pid = worker.pid();
  const auto event = worker.next_event();
  ASSERT_FALSE(event);
  EXPECT_EQ(event.error().code, Errc::io);
  EXPECT_THAT(event.error().message, HasSubstr("closed its channel"));
  EXPECT_EQ(::kill(pid, 0), -1);
}

// As one that ends slowly: what it says of itself counts. It has a second for it, which a host that
// is busy may need for the sleep alone: then the next one counts.
TEST_F(FakeWorker, ALateExitIsDescribed) {
  constexpr int kAttempts = 20;
  std::string said;
  for (int i = 0; i < kAttempts && said.find("exit status 9") == std::string::npos; ++i) {
    Worker worker = start("exec 3>&-; /bin/sleep 0.05; exit 9");
    said = worker.next_event().error().message;
  }
  EXPECT_THAT(said, HasSubstr("exit status 9"));
}

TEST_F(FakeWorker, AWorkerThatTakesNoAnswersHoldsNobodyUp) {
  Worker worker = start("exec /bin/sleep 1000");
  Result<> sent;
  ASSERT_TRUE(worker.have({}, {}));
  sent = worker.have({}, {});  // descriptors that wait in its socket would cost the host memory
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().code, Errc::malformed);
}

TEST_F(FakeWorker, IsKilledAndReapedWithItsObject) {
  pid_t pid = -1;
  {
    const Worker worker = start("exec /bin/sleep 1000");
    pid = worker.pid();
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

// It may be what a hostile dump wants the operator to see, and steers no terminal.
TEST_F(FakeWorker, ItsLastWordsAreToldAndEscaped) {
  Worker worker = start("printf 'last\\033[2J words\\n' >&2; kill -ABRT $$");
  const auto event = worker.next_event();
  ASSERT_FALSE(event);
  EXPECT_THAT(event.error().message, HasSubstr("killed by signal 6"));
  EXPECT_THAT(event.error().message, HasSubstr("it said \"last\\x1b[2J words\""));
}

TEST_F(FakeWorker, ManyWordsHoldNobodyUp) {
  Worker worker = start("head -c 10000000 /dev/zero >&2; exit 3");
  const auto event = worker.next_event();
  ASSERT_FALSE(event);
  EXPECT_THAT(event.error().message, HasSubstr("exit status 3"));
  EXPECT_LT(event.error().message.size(), 10'000U);
}

TEST_F(FakeWorker, ACallThatWasNotPermittedIsTold) {
  Worker worker = start("kill -SYS $$");
  EXPECT_THAT(worker.next_event().error().message, HasSubstr("system call that its job does not"));
}

// A guest is paused for it, and another guest's QEMU must not die for either.
TEST_F(FakeWorker, IsTheFirstToBeKilledForMemory) {
  const auto told = folder_ / "told";
  Worker worker = start("cat /proc/self/oom_score_adj > " + told.string());
  static_cast<void>(worker.next_event());
  std::ifstream in(told);
  int score = 0;
  EXPECT_TRUE(in >> score);
  EXPECT_EQ(score, 1000);
}

// What the child may have: its channel, nowhere to print to but a pipe, an empty environment.
TEST_F(FakeWorker, HasNothingButItsChannel) {
  ::setenv("VMCORECTL_TEST_SECRET", "1", 1);
  const Fd ours(::dup2(STDERR_FILENO, 50));  // not close-on-exec
  const auto told = folder_ / "told";
  Worker worker = start("exec 4> " + told.string() +
                        "; for i in 3 50; do [ -e /proc/$$/fd/$i ] && echo has $i; done >&4"
                        "; for i in 0 1 2; do readlink /proc/$$/fd/$i; done | sed 's/:.*//' >&4"
                        "; echo secret=$VMCORECTL_TEST_SECRET >&4");
  static_cast<void>(worker.next_event());
  ::unsetenv("VMCORECTL_TEST_SECRET");
  std::ifstream in(told);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, "has 3\n/dev/null\n/dev/null\npipe\nsecret=\n");
}

TEST(Worker, AMissingProgramIsSaid) {
  const auto worker = Worker::start("/nowhere/vmcore-worker");
  ASSERT_FALSE(worker);
  EXPECT_EQ(worker.error().code, Errc::not_found);
  EXPECT_THAT(worker.error().message, HasSubstr("/nowhere/vmcore-worker"));
}

}  // namespace
}  // namespace vmcore::sandbox
