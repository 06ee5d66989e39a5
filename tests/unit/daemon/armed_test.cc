// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/armed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "qmp/connect.h"
#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/crash_action.h"
#include "src/acquire/process/guest_process.h"
#include "tests/fakes/listening_qemu.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

class ArmedTest : public testing::Test {
 protected:
  ArmedTest() {
    char name[] = "/tmp/vmcored-armed-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directory(root_ / "qmp");
    fs::create_directory(root_ / "state");
    records_.emplace(*GuestRecords::open(root_ / "state"));
    qemu_.emplace(id_.from = (root_ / "qmp/vm1.sock").string());
    auto folder = QmpFolder::open(
        loop_, root_ / "qmp", {},
        {.on_event = [this](const GuestId&, const acquire::GuestEvent&) { ++events_; },
         .on_listed = [](const std::string&) {},
         .on_note = [](const std::string&, bool) {}});
    folder_ = *std::move(folder);
    armed_.emplace(
        loop_, Armed::Hands{.record = [this](const GuestId& id) -> GuestRecord& {
                              GuestRecord& record = record_[id.key()];
                              record.name = id.name;
                              record.uuid = id.uuid;
                              record.from = id.from;
                              return record;
                            },
                            .save =
                                [this](const GuestRecord& record, const auto& done) {
                                  loop_.after({}, [done, saved = save(record)] { done(saved); });
                                },
                            .folder =
                                [this](const GuestId& id) {
                                  return id.from.starts_with('/') ? folder_.get() : nullptr;
                                },
                            .wants_arming = [this](const GuestId&) { return wanted_; },
                            .note = [this](const std::string& text, bool) { note_ = text; }});
    wait_for([this] { return events_ > 0; });
  }
  ~ArmedTest() override {
    armed_.reset();
    folder_.reset();
    qemu_.reset();
    std::error_code ignored;  // a record may still be written
    fs::remove_all(root_, ignored);
  }

  Result<> save(const GuestRecord& record) {
    return full_ ? fail(Errc::no_space, "the disk is full") : records_->save(record);
  }
  template <class Condition>
  void wait_for(Condition condition) {
    for (const auto end = Loop::Clock::now() + std::chrono::seconds(10);
         !condition() && Loop::Clock::now() < end;) {
      EXPECT_TRUE(loop_.run_once(milliseconds(20)));
    }
    EXPECT_TRUE(condition());
  }
  Result<> done_by(const std::function<void(Armed::Done)>& begin) {
    std::optional<Result<>> result;
    begin([&](Result<> done) { result = std::move(done); });
    wait_for([&] { return result.has_value(); });
    return result.value_or(fail(Errc::busy, "never"));
  }
  Result<> arm(const GuestId& id, bool trap = false) {
    return done_by([&](auto done) { armed_->arm(id, trap, done); });
  }
  // What a vmcored that starts now would know.
  std::vector<GuestRecord> on_disk() {
    std::vector<Error> damaged;
    return records_->load(damaged);
  }

  fs::path root_;
  Loop loop_;
  GuestId id_{.name = "vm1"};
  std::optional<fakes::ListeningQemu> qemu_;
  std::optional<GuestRecords> records_;
  std::map<std::string, GuestRecord> record_;
  std::unique_ptr<QmpFolder> folder_;
  std::optional<Armed> armed_;
  int events_ = 0;
  bool full_ = false;
  bool wanted_ = false;
  std::string note_;
  const GuestId domain_{.from = "test:///default", .name = "test"};
};

TEST_F(ArmedTest, WhatWasBeforeIsRecorded) {
  ASSERT_TRUE(arm(id_));
  EXPECT_EQ(qemu_->actions(), "panic=pause reboot=reset shutdown=poweroff");
  const auto records = on_disk();
  ASSERT_EQ(records.size(), 1U);
  EXPECT_TRUE(records[0].armed);
  EXPECT_EQ(records[0].on_crash_before, "shutdown");
  EXPECT_THAT(records[0].actions_before,
              testing::ElementsAre("reboot=reset", "shutdown=poweroff", "panic=shutdown"));
}

TEST_F(ArmedTest, IsForgottenWhenItIsGivenBack) {
  ASSERT_TRUE(arm(id_));
  ASSERT_TRUE(done_by([&](auto done) { armed_->disarm(id_, done); }));
  EXPECT_EQ(qemu_->actions(), "panic=shutdown reboot=reset shutdown=poweroff");
  EXPECT_TRUE(on_disk().empty());
}

TEST_F(ArmedTest, NothingIsChangedThatCannotBeRemembered) {
  full_ = true;
  EXPECT_EQ(arm(id_).error().code, Errc::no_space);
  EXPECT_TRUE(qemu_->deeds().empty());
  EXPECT_FALSE(record_.at(id_.key()).armed);
}

TEST_F(ArmedTest, WhatQemuRefusesIsNotArmed) {
  qemu_->refuse("set-action");
  EXPECT_FALSE(arm(id_));
  EXPECT_TRUE(on_disk().empty());
  EXPECT_FALSE(armed_->state_of(id_).armed);
  EXPECT_EQ(qemu_->actions(), "panic=shutdown reboot=reset shutdown=poweroff");
}

TEST_F(ArmedTest, WhatQemuRefusesToGiveBackStaysArmed) {
  ASSERT_TRUE(arm(id_));
  qemu_->refuse("set-action");
  EXPECT_FALSE(done_by([&](auto done) { armed_->disarm(id_, done); }));
  EXPECT_TRUE(on_disk().at(0).armed);
  EXPECT_TRUE(armed_->state_of(id_).armed);
}

TEST_F(ArmedTest, WithoutAGuardianPanicsAreArmed) {
  ASSERT_TRUE(arm(id_, true));
  EXPECT_EQ(qemu_->actions(), "panic=pause reboot=reset shutdown=poweroff");
  const Armed::State state = armed_->state_of(id_);
  EXPECT_TRUE(state.armed);
  EXPECT_FALSE(state.trap_resets);
  EXPECT_THAT(state.missing, testing::HasSubstr("its resets are not trapped"));
  EXPECT_TRUE(on_disk().at(0).trap_resets);  // the next vmcored tries it again
}

TEST_F(ArmedTest, AsTheConfigurationWants) {
  armed_->on_started(id_);
  EXPECT_TRUE(loop_.run_once(milliseconds(50)));
  EXPECT_TRUE(on_disk().empty());
  wanted_ = true;
  armed_->on_started(id_);
  wait_for([&] { return qemu_->actions() == "panic=pause reboot=reset shutdown=poweroff"; });
}

TEST_F(ArmedTest, AServiceThatHasEndedGivesItBack) {
  ASSERT_TRUE(arm(id_));
  const GuestRecord record = on_disk().at(0);
  folder_.reset();
  ASSERT_TRUE(give_back(record));
  EXPECT_EQ(qemu_->actions(), "panic=shutdown reboot=reset shutdown=poweroff");
  qemu_.reset();
  fs::remove(record.from);
  EXPECT_TRUE(give_back(record));  // it does not run any more
}

// The record of a vmcored that had set the trap, and has died with its guardian.
class GiveBackTest : public ArmedTest {
 protected:
  static constexpr std::uint64_t kKernel = 0xffffffff81000000;

  GiveBackTest() {
    was_.from = id_.from;
    was_.armed = was_.trap_resets = true;
    was_.on_crash_before = qmp::kQemuActions.panic;
    was_.actions_before = qmp::words_of(qmp::kQemuActions);
    folder_.reset();
    auto monitor = qmp::connect(id_.from);
    EXPECT_TRUE(monitor && qmp::set_actions(*monitor, qmp::kTrap));
  }
  void crashed(bool settled, const std::string& policy_due) {
    const acquire::ProcessKey self{::getpid(), acquire::start_time(::getpid()).value_or(0)};
    was_.crash = {.process = self, .settled = settled, .policy_due = policy_due};
  }
  // What the guest is after it was given back.
  std::string given_back() {
    const Result<> given = give_back(was_);
    EXPECT_TRUE(given) << given.error().message;
    EXPECT_EQ(qemu_->actions(), "panic=shutdown reboot=reset shutdown=poweroff");
    return qemu_->ended() ? "ended" : qemu_->status();
  }
  GuestRecord was_;
};

TEST_F(GiveBackTest, AGuestInTheTrapIsReset) {
  qemu_->guest_resets(kKernel);
  EXPECT_EQ(given_back(), "running");
}

TEST_F(GiveBackTest, AGuestThatRunsRunsOn) {
  EXPECT_EQ(given_back(), "running");
  EXPECT_THAT(qemu_->deeds(), testing::Not(testing::Contains("system_reset")));
}

TEST_F(GiveBackTest, AGuestThatPanickedGetsWhatQemuWouldHaveDone) {
  qemu_->guest_panics();
  EXPECT_EQ(given_back(), "ended");
}

TEST_F(GiveBackTest, APolicyThatIsDueIsCarriedOut) {
  qemu_->guest_panics();
  crashed(false, "restart");
  EXPECT_EQ(given_back(), "running");
}

TEST_F(GiveBackTest, APolicyThatIsDueInTheTrapIsCarriedOut) {
  qemu_->guest_resets(kKernel);
  crashed(true, "destroy");
  EXPECT_EQ(given_back(), "ended");
}

TEST_F(GiveBackTest, AsDomainIsWhatQemuWouldHaveDone) {
  qemu_->guest_panics();
  crashed(false, "as-domain");
  EXPECT_EQ(given_back(), "ended");
}

TEST_F(GiveBackTest, WhatItsPolicyPreservedStays) {
  qemu_->guest_resets(kKernel);
  crashed(true, "");
  EXPECT_EQ(given_back(), "shutdown");
}

TEST_F(GiveBackTest, ACrashOfAnotherQemuSaysNothing) {
  qemu_->guest_resets(kKernel);
  crashed(true, "");
  was_.crash->process->start_time += 1;
  EXPECT_EQ(given_back(), "running");
}

TEST_F(ArmedTest, ADomainHasNoResetTrap) {
  const Result<> armed = arm(domain_, true);
  ASSERT_FALSE(armed);
  EXPECT_EQ(armed.error().code, Errc::unsupported);
}

// libvirt's test driver, whose domain is as it was once the last connection is closed.
TEST_F(ArmedTest, ADomainIsArmedAndGivenBack) {
  const auto connection = acquire::connect_libvirt(domain_.from);
  ASSERT_TRUE(connection);
  const auto action = [this] {
    const auto now = acquire::crash_action({.uri = domain_.from, .domain = domain_.name});
    return now ? now->action : now.error().message;
  };
  ASSERT_EQ(action(), "destroy");
  ASSERT_TRUE(arm(domain_));
  EXPECT_EQ(action(), "preserve");
  EXPECT_EQ(on_disk().at(0).on_crash_before, "destroy");
  ASSERT_TRUE(arm(domain_));  // which forgets nothing
  EXPECT_EQ(on_disk().at(0).on_crash_before, "destroy");
  ASSERT_TRUE(done_by([&](auto done) { armed_->disarm(domain_, done); }));
  EXPECT_EQ(action(), "destroy");
  EXPECT_TRUE(on_disk().empty());
}

TEST(CrashAction, AWordThatIsNotKnownChangesNothing) {
  const auto unknown = acquire::set_crash_action({.uri = "test:///default", .domain = "test"}, "x");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Errc::unsupported);
}

}  // namespace
}  // namespace vmcore::daemon
