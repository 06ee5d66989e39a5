// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/armed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "src/acquire/libvirt/connection.h"
#include "src/acquire/libvirt/crash_action.h"
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
    fs::remove_all(root_);
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

TEST_F(ArmedTest, WhatCannotBeSetIsNotArmed) {
  EXPECT_FALSE(arm(id_, true));  // there is no guardian
  EXPECT_TRUE(on_disk().empty());
  EXPECT_EQ(qemu_->actions(), "panic=shutdown reboot=reset shutdown=poweroff");
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
