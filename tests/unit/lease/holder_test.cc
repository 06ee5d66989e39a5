// SPDX-License-Identifier: GPL-2.0-or-later
// A lease held by the real vmcore-holder. The test is vmcorectl and QEMU; a child is the worker.
// The guest runs when the pipe has no reader any more.
#include "src/lease/holder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "src/base/pipe.h"

namespace vmcore::lease {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kLong{20'000};

int sleep_for_ever() {
  while (true) {
    ::pause();
  }
}

class HolderTest : public testing::Test {
 protected:
  HolderTest() { ::signal(SIGPIPE, SIG_IGN); }

  void hold(Terms terms) {
    terms.worker = worker_->pid();
    auto started = Holder::start(terms);
    ASSERT_TRUE(started) << started.error().message;
    holder_.emplace(*std::move(started));
    qemu_ = holder_->take_writing_end();
    relay_ = holder_->take_relay();
  }
  Terms guarded(milliseconds limit = kLong) const {
    return {.until = Clock::now() + limit, .guarded = true};
  }
  // Whether the guest is let run in that time.
  bool runs(milliseconds within = kLong) const {
    pollfd reader{qemu_.get(), 0, 0};
    return ::poll(&reader, 1, static_cast<int>(within.count())) == 1;
  }
  bool stands_still() const { return !runs(milliseconds(100)); }
  void write(std::string_view text) {
    ASSERT_EQ(::write(qemu_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  std::string read(std::size_t size) const {
    std::string text(size, '\0');
    const ssize_t got = ::read(relay_.get(), text.data(), size);
    text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    return text;
  }

  Result<Process> worker_ = Process::start(sleep_for_ever);
  std::optional<Holder> holder_;
  Fd qemu_;
  Fd relay_;
};

TEST_F(HolderTest, PassesOnWhatIsWrittenAndHolds) {
  hold(guarded());
  write("header");
  EXPECT_EQ(read(6), "header");
  EXPECT_TRUE(stands_still());
  EXPECT_EQ(holder_->ending(), std::nullopt);
  EXPECT_EQ(holder_->drop(), Ending::held);
  EXPECT_TRUE(runs());
  EXPECT_TRUE(holder_->verdict());
  EXPECT_EQ(read(1), "");
}

TEST_F(HolderTest, DropsTheLeaseWhenItsReaderLetsGo) {
  hold(guarded());
  relay_.reset();
  EXPECT_TRUE(runs());
  EXPECT_TRUE(holder_->verdict());
}

// More than both pipes have room for, read by and by.
TEST_F(HolderTest, PassesOnAllToItsEnd) {
  Terms terms = guarded();
  terms.whole = true;
  hold(terms);
  constexpr std::size_t kPortion = 100'000;
  constexpr std::size_t kPortions = 100;
  std::thread writer([&] {
    for (std::size_t i = 0; i < kPortions; ++i) {
      write(std::string(kPortion, static_cast<char>('a' + i % 26)));
    }
    qemu_.reset();
  });
  std::size_t length = 0;
  for (std::string got; !(got = read(70'000)).empty(); length += got.size()) {
    EXPECT_EQ(got.front(), static_cast<char>('a' + length / kPortion % 26));
    std::this_thread::sleep_for(milliseconds(1));
  }
  writer.join();
  EXPECT_EQ(length, kPortion * kPortions);
  EXPECT_EQ(holder_->drop(), Ending::ended);
  EXPECT_TRUE(holder_->verdict());
}

TEST_F(HolderTest, WhatWasNotReadToItsEndDoesNotCount) {
  Terms terms = guarded();
  terms.whole = true;
  hold(terms);
  write("half");
  EXPECT_EQ(read(4), "half");
  EXPECT_EQ(holder_->verdict().error().code, Errc::truncated);
}

TEST_F(HolderTest, ALeaseThatQemuEndedDoesNotCount) {
  hold(guarded());
  write("header");
  qemu_.reset();
  while (!holder_->ending()) {
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_EQ(holder_->verdict().error().code, Errc::guest_state);
}

TEST_F(HolderTest, EndsWithTheTime) {
  const auto begun = Clock::now();
  hold(guarded(milliseconds(200)));
  write("header");
  EXPECT_TRUE(runs());
  EXPECT_GE(Clock::now() - begun, milliseconds(200));
  EXPECT_EQ(holder_->drop(), Ending::limit);
  EXPECT_EQ(holder_->verdict().error().code, Errc::limit);
}

// Its reader does not read, both pipes are full, and QEMU waits.
TEST_F(HolderTest, EndsWithTheTimeAlsoWhereNothingMoves) {
  Terms terms = guarded(milliseconds(300));
  terms.whole = true;
  hold(terms);
  ASSERT_EQ(::fcntl(qemu_.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string portion(4096, 'x');
  ssize_t written = 0;
  while (!runs(milliseconds(0))) {
    written = ::write(qemu_.get(), portion.data(), portion.size());
  }
  EXPECT_LT(written, 0);  // there was no room any more
  EXPECT_EQ(holder_->drop(), Ending::limit);
}

TEST_F(HolderTest, EndsWithTheWorker) {
  hold(guarded());
  worker_->kill();
  EXPECT_TRUE(runs());
  EXPECT_EQ(holder_->drop(), Ending::died);
}

TEST_F(HolderTest, EndsWhenTheWorkerIsStopped) {
  hold(guarded());
  EXPECT_TRUE(stands_still());
  ::kill(worker_->pid(), SIGSTOP);
  EXPECT_TRUE(runs());
  EXPECT_EQ(holder_->drop(), Ending::stopped);
}

// vmcored's: nothing that happens to it while it stands is made worse by waiting.
TEST_F(HolderTest, AGuestThatStandsByItselfHasNoLimit) {
  hold({.until = Clock::now(), .guarded = false});
  ::kill(worker_->pid(), SIGSTOP);
  EXPECT_FALSE(runs(milliseconds(300)));
  ::kill(worker_->pid(), SIGKILL);
  EXPECT_TRUE(runs());
}

TEST_F(HolderTest, TheKernelEndsAHolderThatIsStopped) {
  hold(guarded(milliseconds(300)));
  ::kill(holder_->pid(), SIGSTOP);
  EXPECT_TRUE(runs());
  EXPECT_EQ(holder_->drop(), Ending::lost);
}

TEST_F(HolderTest, AHolderThatDoesNotAnswerIsKilled) {
  hold(guarded());
  ::kill(holder_->pid(), SIGSTOP);
  EXPECT_EQ(holder_->drop(), Ending::lost);
  EXPECT_TRUE(runs());
  EXPECT_FALSE(holder_->verdict());
}

TEST_F(HolderTest, GoesWithItsObject) {
  hold(guarded());
  holder_.reset();
  EXPECT_TRUE(runs(milliseconds(0)));
  EXPECT_EQ(::kill(worker_->pid(), 0), 0);
}

// A child is vmcorectl, and this process inherits what it leaves behind.
TEST_F(HolderTest, TheWorkerOfAVmcorectlThatWasKilledIsKilled) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  auto told = make_pipe();
  auto parent = Process::start([&] {
    auto child = Process::start(sleep_for_ever);
    const pid_t pid = child->pid();
    const auto held =
        Holder::start({.worker = pid, .until = Clock::now() + kLong, .guarded = true});
    return held && ::write(told->in.get(), &pid, sizeof pid) > 0 ? sleep_for_ever() : 1;
  });
  pid_t worker = -1;
  told->in.reset();
  ASSERT_EQ(::read(told->out.get(), &worker, sizeof worker), ssize_t{sizeof worker});
  parent->kill();
  static_cast<void>(parent->wait());
  int status = 0;
  ASSERT_EQ(::waitpid(worker, &status, 0), worker);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

}  // namespace
}  // namespace vmcore::lease
