// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/run_actions.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "qmp/connect.h"
#include "tests/fakes/fake_qemu.h"
#include "tests/fakes/listening_qemu.h"

namespace vmcore::qmp {
namespace {

constexpr std::uint64_t kKernel = 0xffffffff81000000;

RunActions of(std::vector<std::string> words) {
  words.insert(words.begin(), "qemu-system-x86_64");
  return actions_of(words);
}

TEST(RunActions, AreThoseOfTheCommandLine) {
  EXPECT_EQ(of({"-m", "1G"}), kQemuActions);
  EXPECT_EQ(of({"-no-reboot"}), (RunActions{"shutdown", "poweroff", "shutdown"}));
  EXPECT_EQ(of({"--no-shutdown", "-action", "panic=pause"}),
            (RunActions{"reset", "pause", "pause"}));
  EXPECT_EQ(of({"-action", "reboot=shutdown,shutdown=pause,watchdog=debug"}),
            (RunActions{"shutdown", "pause", "shutdown"}));
}

TEST(RunActions, TheLastWordCounts) {
  EXPECT_EQ(of({"-no-reboot", "-action", "reboot=reset"}), kQemuActions);
  EXPECT_EQ(of({"-action", "reboot=reset", "-no-reboot"}).reboot, "shutdown");
}

TEST(RunActions, WhatIsNotKnownChangesNothing) {
  EXPECT_EQ(of({"-action"}), kQemuActions);
  EXPECT_EQ(of({"-action", "panic=run,=,reboot"}), kQemuActions);
}

TEST(RunActions, TheirWordsAreReadAgain) {
  const auto read = actions_from(words_of(kTrap));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, kTrap);
  EXPECT_EQ(actions_from({"reboot=explode"}).error().code, Errc::malformed);
}

TEST(RunActions, WhatTheGuestWanted) {
  const auto wanted = [](const char* reason) { return wanted_by({{"reason", reason}}); };
  EXPECT_EQ(wanted("guest-reset"), Wanted::reset);
  EXPECT_EQ(wanted("guest-shutdown"), Wanted::shutdown);
  EXPECT_EQ(wanted("host-qmp-system-reset"), Wanted::reset);
  EXPECT_EQ(wanted("host-signal"), std::nullopt);
  EXPECT_EQ(wanted_by(Json::object()), std::nullopt);
}

TEST(RunActions, WhatQemuWouldHaveDone) {
  EXPECT_EQ(course_of(Wanted::reset, kQemuActions), Course::reset);
  EXPECT_EQ(course_of(Wanted::shutdown, kQemuActions), Course::quit);
  EXPECT_EQ(course_of(Wanted::reset, {"shutdown", "poweroff", ""}), Course::quit);
  EXPECT_EQ(course_of(Wanted::reset, {"shutdown", "pause", ""}), Course::stay);
  EXPECT_EQ(course_of(Wanted::shutdown, {"reset", "pause", ""}), Course::stay);
}

class WithQemu : public testing::Test {
 protected:
  WithQemu() {
    char name[] = "/tmp/vmcorectl-actions-XXXXXX";
    folder_ = ::mkdtemp(name);
    qemu_.emplace(folder_ / "qmp");
    monitor_.emplace(*connect(folder_ / "qmp", {}));
  }
  ~WithQemu() override {
    monitor_.reset();
    qemu_.reset();
    std::filesystem::remove_all(folder_);
  }
  std::filesystem::path folder_;
  std::optional<fakes::ListeningQemu> qemu_;
  std::optional<Client> monitor_;
};

TEST_F(WithQemu, ATrappedGuestBootsAgainInTheTrap) {
  ASSERT_TRUE(set_actions(*monitor_, kTrap));
  qemu_->guest_resets(kKernel);
  EXPECT_EQ(qemu_->status(), kTrapped);
  const Result<> done = reset_guest(*monitor_, kTrap);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(qemu_->status(), "running");
  EXPECT_EQ(qemu_->actions(), "panic=pause reboot=shutdown shutdown=pause");
  EXPECT_EQ(qemu_->deeds(),
            (std::vector<std::string>{
                "set-action panic=pause reboot=shutdown shutdown=pause", "set-action reboot=reset",
                "system_reset", "set-action panic=pause reboot=shutdown shutdown=pause", "cont"}));
}

// QEMU would end if it found its action on a shutdown put back.
TEST_F(WithQemu, AGuestThatResetsWhileTheTrapIsTakenOffStandsInIt) {
  ASSERT_TRUE(set_actions(*monitor_, kTrap));
  qemu_->guest_resets_amid("set-action", kKernel);
  ASSERT_TRUE(set_actions(*monitor_, kQemuActions));
  EXPECT_FALSE(qemu_->ended());
  EXPECT_EQ(*status_of(*monitor_), kTrapped);
  EXPECT_EQ(qemu_->actions(), "panic=shutdown reboot=reset shutdown=poweroff");
}

TEST_F(WithQemu, AGuestThatResetsWhileTheTrapIsSetStandsInItOrResets) {
  qemu_->guest_resets_amid("set-action", kKernel);
  ASSERT_TRUE(set_actions(*monitor_, kTrap));
  EXPECT_EQ(*status_of(*monitor_), "running");
}

TEST_F(WithQemu, AGuestThatWasResetAndNotCarriedOnIsCarriedOn) {
  ASSERT_TRUE(set_actions(*monitor_, kTrap));
  qemu_->guest_panics();
  ASSERT_TRUE(monitor_->execute("system_reset"));
  ASSERT_EQ(qemu_->status(), kWasReset);
  ASSERT_TRUE(reset_guest(*monitor_, kTrap));
  EXPECT_EQ(qemu_->status(), "running");
  const std::string trap = "set-action panic=pause reboot=shutdown shutdown=pause";
  EXPECT_EQ(qemu_->deeds(), (std::vector<std::string>{trap, "system_reset", trap, "cont"}));
}

TEST_F(WithQemu, ARunningGuestIsResetAsWell) {
  ASSERT_TRUE(reset_guest(*monitor_, kQemuActions));
  EXPECT_EQ(qemu_->status(), "running");
  EXPECT_EQ(qemu_->deeds().back(), "set-action panic=shutdown reboot=reset shutdown=poweroff");
}

// Errc::guest_state would say that somebody else has carried it on.
TEST(RunActions, AGuestThatIsNotResetIsNotCarriedOn) {
  fakes::FakeQemu qemu;
  qemu.serve({{"query-status", [](auto&, auto&) { return R"({"status": "guest-panicked"})"; }},
              {"set-action", [](auto&, auto&) { return "{}"; }},
              {"system_reset", [](auto&, auto&) { return "{}"; }}});
  auto client = Client::open(qemu.client_end());
  ASSERT_TRUE(client) << client.error().message;
  const Result<> done = reset_guest(*client, kQemuActions, Milliseconds(20));
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Errc::busy);
  EXPECT_EQ(done.error().message, "QEMU does not reset its guest");
}

TEST_F(WithQemu, AGuestThatPoweredOffEndsItsQemu) {
  ASSERT_TRUE(set_actions(*monitor_, kTrap));
  qemu_->guest_powers_off(kKernel);
  EXPECT_TRUE(follow(*monitor_, course_of(Wanted::shutdown, kQemuActions), kQemuActions));
  EXPECT_TRUE(qemu_->ended());
}

}  // namespace
}  // namespace vmcore::qmp
