// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/guardian/guardian.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <filesystem>
#include <thread>

#include "qmp/connect.h"
#include "tests/fakes/listening_qemu.h"

namespace vmcore::guardian {
namespace {

constexpr std::uint64_t kKernel = 0xffffffff81000000;
constexpr const char* kDefaults = "panic=pause reboot=reset shutdown=poweroff";

// A vmcored that has set the trap, and has died.
class TakeOver : public testing::Test {
 protected:
  TakeOver() {
    char name[] = "/tmp/vmcore-guardian-XXXXXX";
    folder_ = ::mkdtemp(name);
    qemu_.emplace(folder_ / "qmp");
    auto monitor = qmp::connect(folder_ / "qmp", {});
    EXPECT_TRUE(monitor && qmp::set_actions(*monitor, qmp::kTrap));
    socket_ = *duplicate(monitor->fd());
  }
  ~TakeOver() override {
    qemu_.reset();
    std::filesystem::remove_all(folder_);
  }
  Result<> take_over(char said) { return guardian::take_over(std::move(socket_), said, before_); }
  // Reads as much as vmcored had read when it died.
  void lose(std::size_t bytes) {
    std::string lost(bytes, '\0');
    EXPECT_EQ(::recv(socket_.get(), lost.data(), bytes, MSG_WAITALL), static_cast<ssize_t>(bytes));
  }
  void send(std::string_view text) {
    EXPECT_GT(::send(socket_.get(), text.data(), text.size(), 0), 0);
  }

  std::filesystem::path folder_;
  std::optional<fakes::ListeningQemu> qemu_;
  Fd socket_;
  qmp::RunActions before_ = qmp::kQemuActions;
};

TEST_F(TakeOver, AGuestThatRunsGetsItsActionsBack) {
  EXPECT_TRUE(take_over(kNothing));
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_EQ(qemu_->status(), "running");
}

TEST_F(TakeOver, AGuestThatStandsInTheTrapIsReset) {
  qemu_->guest_resets(kKernel);
  EXPECT_TRUE(take_over(kReset));
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_EQ(qemu_->status(), "running");
}

TEST_F(TakeOver, AGuestThatResetsMeanwhileIsReset) {
  qemu_->guest_resets_amid("set-action", kKernel);
  EXPECT_TRUE(take_over(kNothing));
  EXPECT_FALSE(qemu_->ended());
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_EQ(qemu_->status(), "running");
}

// vmcored died between its system_reset and its cont.
TEST_F(TakeOver, AGuestThatWasResetIsCarriedOn) {
  qemu_->guest_resets(kKernel);
  send(R"({"execute": "system_reset", "id": 0})");
  while (qemu_->status() != qmp::kWasReset) {
    std::this_thread::yield();
  }
  EXPECT_TRUE(take_over(kReset));
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_EQ(qemu_->status(), "running");
}

TEST_F(TakeOver, AGuestThatItsOwnerHasResetIsLeftToThem) {
  send(R"({"execute": "system_reset", "id": 0})");
  EXPECT_TRUE(take_over(kNothing));
  EXPECT_EQ(qemu_->deeds().back(), "set-action reboot=reset shutdown=poweroff");
}

// vmcored died before it received the event: the event is in the socket.
TEST_F(TakeOver, AGuestThatPoweredOffEnds) {
  qemu_->guest_powers_off(kKernel);
  EXPECT_TRUE(take_over(kNothing));
  EXPECT_TRUE(qemu_->ended());
}

TEST_F(TakeOver, WhatItSaidCountsWhereTheEventWasRead) {
  qemu_->guest_powers_off(kKernel);
  lose(60);
  EXPECT_TRUE(take_over(kShutdown));
  EXPECT_TRUE(qemu_->ended());
}

TEST_F(TakeOver, HalfAMessageWasRead) {
  qemu_->guest_resets(kKernel);
  lose(40);
  EXPECT_TRUE(take_over(kReset));
  EXPECT_EQ(qemu_->status(), "running");
}

TEST_F(TakeOver, AGuestThatIsToStayStays) {
  qemu_->guest_resets(kKernel);
  EXPECT_TRUE(take_over(kLeave));
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_EQ(qemu_->status(), "shutdown");
}

TEST_F(TakeOver, AQemuThatStaysByItself) {
  before_ = {"shutdown", "pause", "shutdown"};
  qemu_->guest_resets(kKernel);
  EXPECT_TRUE(take_over(kReset));
  EXPECT_EQ(qemu_->actions(), "panic=pause reboot=shutdown shutdown=pause");
  EXPECT_EQ(qemu_->status(), "shutdown");
}

TEST(Watch, EndsWithTheLine) {
  const auto after = [](std::string_view said) {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const Fd its(ends[1]);
    Fd ours(ends[0]);
    EXPECT_EQ(::send(ours.get(), said.data(), said.size(), 0), static_cast<ssize_t>(said.size()));
    ours.reset();
    return watch(its.get());
  };
  EXPECT_EQ(after(""), kNothing);
  EXPECT_EQ(after("r"), kReset);
  EXPECT_EQ(after("r-s"), kShutdown);
  EXPECT_EQ(after("rq"), kDone);
}

}  // namespace
}  // namespace vmcore::guardian
