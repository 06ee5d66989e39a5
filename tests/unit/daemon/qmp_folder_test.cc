// SPDX-License-Identifier: GPL-2.0-or-later
// Folders of QEMUs that are only their monitors. vmcorectl is a shell script that says how the
// kernel ended; the guardian is the real one where it was built.
#include "src/daemon/qmp_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "src/acquire/process/guest_process.h"
#include "src/report/job_event.h"
#include "tests/fakes/listening_qemu.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using acquire::GuestEvent;
using config::AfterCrash;
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = GuestEvent::Kind;

constexpr std::uint64_t kKernel = 0xffffffff81000000;
constexpr std::uint64_t kFirmware = 0xfff0;
constexpr const char* kDefaults = "panic=shutdown reboot=reset shutdown=poweroff";
constexpr const char* kArmed = "panic=pause reboot=reset shutdown=poweroff";
constexpr const char* kTrapped = "panic=pause reboot=shutdown shutdown=pause";

constexpr const char* kVmcorectl = R"sh(#!/bin/sh
echo "$@" >> "$(dirname "$0")/calls"
while [ $# -gt 0 ]; do
  case $1 in --report-fd) report=$2 ;; --go-fd) go=$2 ;; esac
  shift
done
look="$(dirname "$0")/look"
if [ -n "$go" ]; then
  cat "$(dirname "$0")/ready" > "/dev/fd/$report"
  [ "$(head -c 1 "/dev/fd/$go")" = g ] || exit 1
  [ -e "$look-ahead" ] && look=$look-ahead
fi
cat "$look" > "/dev/fd/$report"
)sh";

// In place of the guardian: notes what it is told.
constexpr const char* kGuardian = "#!/bin/sh\nexec cat <&4 >> \"$(dirname \"$0\")/told\"\n";

class QmpFolderTest : public testing::Test {
 protected:
  QmpFolderTest() {
    char name[] = "/tmp/vmcored-folder-XXXXXX";
    root_ = ::mkdtemp(name);
    fs::create_directory(root_ / "qmp");
    make_program("vmcorectl", kVmcorectl);
    make_program("vmcore-guardian", kGuardian);
  }
  ~QmpFolderTest() override {
    folder_.reset();
    qemu_.reset();
    std::error_code ignored;  // a program of the test may still write
    fs::remove_all(root_, ignored);
  }

  void make_program(const char* name, const char* text) {
    std::ofstream(root_ / name) << text;
    fs::permissions(root_ / name, fs::perms::owner_all);
  }
  void the_kernel_ended(const std::string& how, bool powers_off = false) {
    std::ofstream(root_ / "look") << report::to_line(report::JobEnd{
        .monitor = true,
        .report = R"({"schema": "vmcorectl-look/1", "end": ")" + how + R"(", "powers_off": )" +
                  (powers_off ? "true" : "false") + R"(, "line": "why"})"});
  }
  std::string text_of(const char* file) {
    std::ifstream open(root_ / file);
    return {std::istreambuf_iterator<char>(open), {}};
  }
  std::string calls() { return text_of("calls"); }
  std::string socket() const { return (root_ / "qmp/vm1.sock").string(); }
  void start_qemu() { qemu_.emplace(socket()); }
  void open(std::map<std::string, ArmWish> wishes = {}) {
    auto folder = QmpFolder::open(
        loop_, root_ / "qmp", {root_ / "vmcorectl", root_ / "vmcore-guardian", boot_time_},
        {.on_event =
             [this](const GuestId& id, const GuestEvent& event) {
               events_.push_back(std::string(kind_name(event.kind)) +
                                 (event.found ? " found" : ""));
               id_ = id;
               on_event_(event.kind);
             },
         .on_listed = [this](const std::string& from) { listed_.push_back(from); },
         .on_note = [this](const std::string& text, bool) { notes_.push_back(text); }},
        std::move(wishes));
    ASSERT_TRUE(folder) << folder.error().message;
    folder_ = *std::move(folder);
  }
  // Until that holds.
  template <class Condition>
  bool wait_for(Condition condition) {
    for (const auto end = Loop::Clock::now() + std::chrono::seconds(10);
         !condition() && Loop::Clock::now() < end;) {
      EXPECT_TRUE(loop_.run_once(milliseconds(20)));
    }
    return condition();
  }
  bool wait_for_events(std::size_t count) {
    return wait_for([&] { return events_.size() >= count; });
  }
  Result<> done_by(const std::function<void(HeldMonitor::Done)>& begin) {
    std::optional<Result<>> result;
    begin([&](Result<> done) { result = std::move(done); });
    EXPECT_TRUE(wait_for([&] { return result.has_value(); }));
    return result.value_or(fail(Errc::busy, "never"));
  }
  Result<> arm(bool trap) {
    return done_by([&](auto done) { folder_->arm(socket(), trap, std::move(done)); });
  }
  Result<> disarm() {
    return done_by([&](auto done) { folder_->disarm(socket(), std::move(done)); });
  }
  Result<> act(GuestDeed deed, bool only_if_stopped = false) {
    return done_by([&](auto done) { folder_->act(id_, deed, only_if_stopped, std::move(done)); });
  }

  fs::path root_;
  milliseconds boot_time_ = std::chrono::hours(1);
  Loop loop_;
  std::optional<fakes::ListeningQemu> qemu_;
  std::unique_ptr<QmpFolder> folder_;
  std::vector<std::string> events_;
  std::vector<std::string> listed_;
  std::vector<std::string> notes_;
  GuestId id_;
  std::function<void(Kind)> on_event_ = [](Kind) {};
};

TEST_F(QmpFolderTest, HoldsTheMonitorsThatAreThere) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_EQ(events_[0], "started found");
  EXPECT_EQ(id_.name, "vm1");
  EXPECT_EQ(id_.from, socket());
  EXPECT_EQ(listed_, std::vector{socket()});
  EXPECT_TRUE(folder_->has(id_));
  EXPECT_EQ(folder_->wanted_after_crash(id_), AfterCrash::destroy);
  EXPECT_EQ(qemu_->actions(), kDefaults);
}

TEST_F(QmpFolderTest, FindsTheOnesThatCome) {
  open();
  start_qemu();
  ASSERT_TRUE(wait_for_events(1));
  qemu_->guest_panics();
  ASSERT_TRUE(wait_for_events(2));
  EXPECT_EQ(events_[1], "panicked");
}

TEST_F(QmpFolderTest, TellsThatAQemuHasEndedAndFindsTheNext) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  qemu_.reset();
  ASSERT_TRUE(wait_for_events(3));
  EXPECT_THAT(events_, ElementsAre("started found", "connection-lost", "stopped"));
  start_qemu();
  ASSERT_TRUE(wait_for_events(4));
  EXPECT_EQ(events_[3], "started found");
}

TEST_F(QmpFolderTest, LeavesAloneWhatIsNoMonitor) {
  std::ofstream(root_ / "qmp/file") << "text";
  fs::create_directory(root_ / "qmp/folder");
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_EQ(folder_->guests().size(), 1U);
}

TEST_F(QmpFolderTest, RefusesAFolderThatAnybodyCanChange) {
  fs::permissions(root_ / "qmp", fs::perms::all);
  const auto folder = QmpFolder::open(loop_, root_ / "qmp", {}, {});
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().code, Errc::denied);
}

TEST_F(QmpFolderTest, LendsAMonitorToOneJob) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  const auto lent = folder_->lend(id_);
  ASSERT_TRUE(lent) << lent.error().message;
  EXPECT_THAT(lent->words,
              ElementsAre("--qmp", socket(), "--monitor-fd", std::to_string(lent->fds.at(0))));
  EXPECT_EQ(folder_->lend(id_).error().code, Errc::busy);
  qemu_->guest_panics();
  EXPECT_TRUE(loop_.run_once(milliseconds(50)));
  EXPECT_EQ(events_.size(), 1U);  // it belongs to the job
  folder_->take_back(id_, true);
  ASSERT_TRUE(wait_for_events(2));
  EXPECT_EQ(events_[1], "panicked");
  EXPECT_EQ(qemu_->clients(), 1U);
  EXPECT_TRUE(folder_->lend(id_));
}

TEST_F(QmpFolderTest, ConnectsAgainWhereTheJobSpoiltTheMonitor) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(folder_->lend(id_));
  folder_->take_back(id_, false);
  ASSERT_TRUE(wait_for_events(2));
  EXPECT_EQ(events_[1], "started found");
  EXPECT_EQ(qemu_->clients(), 2U);
}

// Each connection is made, and closed at once.
TEST_F(QmpFolderTest, AMonitorThatLetsNobodyStayIsNotAskedWithoutAPause) {
  start_qemu();
  open();
  std::size_t closed = 0;
  const auto end = Loop::Clock::now() + milliseconds(1500);
  wait_for([&] {
    if (listed_.size() > closed) {
      closed = listed_.size();
      qemu_->hang_up();
    }
    return Loop::Clock::now() >= end;
  });
  EXPECT_GE(closed, 3U);
  EXPECT_LE(closed, 8U);
}

// What happens while nobody listens waits, however much it is.
TEST_F(QmpFolderTest, ALoopThatWasBlockedHearsWhatHappenedMeanwhile) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  for (int second = 0; second < 60; ++second) {
    qemu_->says_something();
  }
  qemu_->guest_panics();
  ASSERT_TRUE(wait_for([&] { return events_.back() == "panicked"; }));
  EXPECT_EQ(qemu_->clients(), 1U);
}

// Who hears of the panic spoils the monitor before that call has returned.
TEST_F(QmpFolderTest, ReconnectsDuringACallback) {
  start_qemu();
  on_event_ = [this](Kind kind) {
    if (kind == Kind::panicked) {
      ASSERT_TRUE(folder_->lend(id_));
      folder_->take_back(id_, false);
      EXPECT_EQ(folder_->lend(id_).error().code, Errc::busy);
    }
  };
  open();
  ASSERT_TRUE(wait_for_events(1));
  qemu_->guest_panics();
  ASSERT_TRUE(wait_for_events(3));
  EXPECT_THAT(events_, ElementsAre("started found", "panicked", "started found"));
  EXPECT_TRUE(folder_->lend(id_));
}

TEST_F(QmpFolderTest, OfFiveConnectionsOneDies) {
  std::vector<std::unique_ptr<fakes::ListeningQemu>> others;
  for (const char* const name : {"vm2", "vm3", "vm4", "vm5"}) {
    others.push_back(
        std::make_unique<fakes::ListeningQemu>(root_ / "qmp" / (name + std::string(".sock"))));
  }
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(5));
  qemu_.reset();
  ASSERT_TRUE(wait_for_events(7));
  EXPECT_EQ(id_.name, "vm1");
  EXPECT_THAT(std::vector(events_.begin() + 5, events_.end()),
              ElementsAre("connection-lost", "stopped"));
  for (const auto& other : others) {
    EXPECT_EQ(other->clients(), 1U);
    other->guest_panics();
  }
  EXPECT_TRUE(wait_for_events(11));
}

// The deed waits for the monitor, as long as a job has it: it is neither given up nor doubled.
TEST_F(QmpFolderTest, ADeedWaitsForALentMonitor) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(folder_->lend(id_));
  std::optional<Result<>> done;
  folder_->act(id_, GuestDeed::nmi, false, [&](Result<> result) { done = std::move(result); });
  EXPECT_TRUE(loop_.run_once(milliseconds(50)));
  EXPECT_FALSE(done);
  EXPECT_TRUE(qemu_->deeds().empty());
  folder_->take_back(id_, true);
  ASSERT_TRUE(wait_for([&] { return done.has_value(); }));
  EXPECT_THAT(qemu_->deeds(), ElementsAre("inject-nmi"));
}

TEST_F(QmpFolderTest, ADeedThatWaitsForAMonitorThatIsLostIsNotBegun) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(folder_->lend(id_));
  std::optional<Result<>> done;
  folder_->act(id_, GuestDeed::nmi, false, [&](Result<> result) { done = std::move(result); });
  folder_->take_back(id_, false);
  ASSERT_TRUE(wait_for([&] { return done.has_value() && qemu_->clients() == 2; }));
  EXPECT_FALSE(*done);
  ASSERT_TRUE(wait_for_events(2));
  EXPECT_TRUE(qemu_->deeds().empty());
}

TEST_F(QmpFolderTest, WhatIsAskedOfALentMonitorWaits) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(folder_->lend(id_));
  std::optional<Result<>> armed;
  folder_->arm(socket(), false, [&](Result<> done) { armed = std::move(done); });
  EXPECT_TRUE(loop_.run_once(milliseconds(50)));
  EXPECT_FALSE(armed);
  folder_->take_back(id_, true);
  EXPECT_TRUE(wait_for([&] { return armed.has_value(); }));
  EXPECT_TRUE(*armed);
}

TEST_F(QmpFolderTest, AnArmedGuestStopsWhenItPanics) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(arm(false));
  EXPECT_EQ(qemu_->actions(), kArmed);
  EXPECT_EQ(folder_->wanted_after_crash(id_), AfterCrash::destroy);  // what QEMU did before
  ASSERT_TRUE(disarm());
  EXPECT_EQ(qemu_->actions(), kDefaults);
}

TEST_F(QmpFolderTest, TheNextQemuIsArmedAsWell) {
  start_qemu();
  open({{socket(), {.armed = true, .trap = true}}});
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_EQ(qemu_->actions(), kTrapped);
  qemu_.reset();
  start_qemu();
  ASSERT_TRUE(wait_for([&] { return qemu_->actions() == kTrapped; }));
}

TEST_F(QmpFolderTest, CarriesOutWhatIsToBeDone) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(arm(false));
  qemu_->guest_panics();
  ASSERT_TRUE(wait_for_events(2));
  ASSERT_TRUE(act(GuestDeed::restart, true));
  EXPECT_EQ(qemu_->status(), "running");
  EXPECT_EQ(qemu_->actions(), kArmed);
  EXPECT_EQ(act(GuestDeed::restart, true).error().code, Errc::guest_state);
  ASSERT_TRUE(act(GuestDeed::nmi));
  EXPECT_EQ(qemu_->deeds().back(), "inject-nmi");
  ASSERT_TRUE(act(GuestDeed::destroy));
  EXPECT_TRUE(qemu_->ended());
  ASSERT_TRUE(wait_for([&] { return events_.back() == "stopped"; }));
}

TEST_F(QmpFolderTest, WhatQemuRefusesIsNotWantedAnyMore) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  qemu_->refuse("set-action");
  EXPECT_FALSE(arm(false));
  qemu_->refuse("");
  ASSERT_TRUE(folder_->lend(id_));
  folder_->take_back(id_, false);
  ASSERT_TRUE(wait_for_events(2));
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_FALSE(folder_->monitor_of(socket())->armed());
}

TEST_F(QmpFolderTest, AGuestThatCouldNotBeDisarmedIsArmed) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(arm(false));
  qemu_->refuse("set-action");
  EXPECT_FALSE(disarm());
  qemu_->refuse("");
  qemu_.reset();
  start_qemu();
  EXPECT_TRUE(wait_for([&] { return qemu_->actions() == kArmed; }));
}

TEST_F(QmpFolderTest, WhatTheNextQemuRefusesIsTold) {
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  ASSERT_TRUE(arm(false));
  qemu_.reset();
  ASSERT_TRUE(wait_for([&] { return events_.back() == "stopped"; }));
  start_qemu();
  qemu_->refuse("set-action");
  ASSERT_TRUE(wait_for([&] { return events_.back() == "started found"; }));
  const HeldMonitor* const monitor = folder_->monitor_of(socket());
  EXPECT_FALSE(monitor->armed());
  EXPECT_THAT(monitor->missing(), HasSubstr("it does not want to"));
}

class TrapTest : public QmpFolderTest {
 protected:
  void set_trap() {
    start_qemu();
    open();
    ASSERT_TRUE(wait_for_events(1));
    const Result<> armed = arm(true);
    ASSERT_TRUE(armed) << armed.error().message;
    ASSERT_EQ(qemu_->actions(), kTrapped);
  }
  bool runs_again() {
    return wait_for([&] {
      const auto* monitor = folder_->monitor_of(socket());
      return qemu_->status() == "running" && !monitor->trapped();
    });
  }
};

TEST_F(TrapTest, AnOrderlyResetIsCarriedOut) {
  the_kernel_ended("orderly");
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return !calls().empty(); }));
  ASSERT_TRUE(runs_again());
  EXPECT_EQ(qemu_->actions(), kTrapped);
  EXPECT_EQ(events_.front(), "started found");
  EXPECT_THAT(events_, testing::Not(Contains(HasSubstr("panicked"))));
  EXPECT_THAT(calls(), HasSubstr("look"));
  EXPECT_THAT(notes_, Contains(HasSubstr("its reset was carried out")));
}

class PreparedLookTest : public TrapTest {
 protected:
  PreparedLookTest() {
    boot_time_ = milliseconds(1);
    std::ofstream(root_ / "ready") << report::to_line(report::JobMemoryRead{.monitor = true});
  }
  void set_trap_and_prepare() {
    set_trap();
    ASSERT_TRUE(wait_for([&] { return calls().find("--go-fd") != std::string::npos; }));
    ASSERT_TRUE(wait_for([&] {
      const bool home = folder_->lend(id_).has_value();
      if (home) {
        folder_->take_back(id_, true);
      }
      return home;
    }));
    boot_time_ = std::chrono::hours(1);
  }
  std::size_t looks_without_preparation() {
    std::istringstream lines(calls());
    std::size_t count = 0;
    for (std::string line; std::getline(lines, line);) {
      count += line.find("--go-fd") == line.npos ? 1U : 0U;
    }
    return count;
  }
};

TEST_F(PreparedLookTest, TheLookThatWaitsIsTheOne) {
  the_kernel_ended("panicked");
  set_trap_and_prepare();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  EXPECT_EQ(looks_without_preparation(), 0U);
  EXPECT_EQ(qemu_->clients(), 1U);
}

// The guest has got more memory since, for one.
TEST_F(PreparedLookTest, ALookThatCannotTellIsFollowedByAnother) {
  the_kernel_ended("panicked");
  std::ofstream(root_ / "look-ahead") << report::to_line(report::JobEnd{
      .monitor = true,
      .report =
          R"({"schema": "vmcorectl-error/1", "error": {"code": "not_found", "text": "no kernel"}})"});
  set_trap_and_prepare();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  EXPECT_EQ(looks_without_preparation(), 1U);
}

TEST_F(PreparedLookTest, WhatWaitsIsDroppedWithTheTrap) {
  the_kernel_ended("orderly");
  set_trap_and_prepare();
  ASSERT_TRUE(disarm());
  ASSERT_TRUE(folder_->lend(id_));  // what ends now does not give the monitor back
  EXPECT_TRUE(loop_.run_once(milliseconds(50)));
  EXPECT_EQ(folder_->lend(id_).error().code, Errc::busy);
  folder_->take_back(id_, true);
  EXPECT_EQ(qemu_->clients(), 1U);
}

TEST_F(TrapTest, APanicIsTold) {
  the_kernel_ended("panicked");
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  EXPECT_EQ(qemu_->status(), "shutdown");
  EXPECT_EQ(folder_->wanted_after_crash(id_), AfterCrash::restart);
  const auto lent = folder_->lend(id_);
  ASSERT_TRUE(lent);
  EXPECT_EQ(lent->fds.size(), 2U);  // the guardian waits for the job as well
  folder_->take_back(id_, true);
  ASSERT_TRUE(act(GuestDeed::restart, true));
  EXPECT_EQ(qemu_->status(), "running");
  EXPECT_EQ(qemu_->actions(), kTrapped);
}

TEST_F(TrapTest, AKernelThatEndedWithoutAWordIsTold) {
  the_kernel_ended("silent");
  set_trap();
  qemu_->guest_resets(kKernel);
  EXPECT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
}

TEST_F(TrapTest, APowerOffIsCarriedOut) {
  the_kernel_ended("orderly");
  set_trap();
  qemu_->guest_powers_off(kKernel);
  ASSERT_TRUE(wait_for([&] { return qemu_->ended(); }));
  ASSERT_TRUE(wait_for([&] { return events_.back() == "stopped"; }));
}

// SeaBIOS resets once more.
TEST_F(TrapTest, FirmwareIsNotLookedAt) {
  set_trap();
  qemu_->guest_resets(kFirmware);
  ASSERT_TRUE(wait_for([&] { return !notes_.empty(); }));
  ASSERT_TRUE(runs_again());
  EXPECT_EQ(calls(), "");
  EXPECT_THAT(notes_, Contains(HasSubstr("firmware")));
}

TEST_F(TrapTest, AGuestThatNobodyCanLookAtGoesOn) {
  fs::remove(root_ / "vmcorectl");
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return !notes_.empty(); }));
  EXPECT_THAT(notes_, Contains(HasSubstr("nobody could look at it")));
  EXPECT_TRUE(runs_again());
}

TEST_F(TrapTest, ASpoiltLookIsNoEnd) {
  std::ofstream(root_ / "look") << "no JSON\n";
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return qemu_->clients() == 2; }));
  the_kernel_ended("orderly");
  EXPECT_TRUE(runs_again());
}

TEST_F(TrapTest, WithoutItsGuardianThereIsNoTrap) {
  fs::remove(root_ / "vmcore-guardian");
  start_qemu();
  open();
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_TRUE(arm(true));
  EXPECT_EQ(qemu_->actions(), kArmed);
  const HeldMonitor* const monitor = folder_->monitor_of(socket());
  EXPECT_TRUE(monitor->armed());
  EXPECT_FALSE(monitor->traps());
  EXPECT_THAT(monitor->missing(), HasSubstr("its resets are not trapped"));
}

TEST_F(TrapTest, WhereTheGuardianDiesTheTrapIsTakenOff) {
  make_program("vmcore-guardian", "#!/bin/sh\nsleep 0.3\n");
  set_trap();
  EXPECT_TRUE(wait_for([&] { return qemu_->actions() == kArmed; }));
  EXPECT_THAT(notes_, Contains(HasSubstr("vmcore-guardian has ended")));
}

// Its crash is kept first.
TEST_F(TrapTest, ADisarmedGuestThatStandsInTheTrapGoesOnByItsPolicy) {
  the_kernel_ended("panicked");
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  ASSERT_TRUE(disarm());
  EXPECT_EQ(qemu_->status(), "shutdown");
  EXPECT_EQ(folder_->wanted_after_crash(id_), AfterCrash::restart);
  ASSERT_TRUE(act(GuestDeed::restart, true));
  EXPECT_EQ(qemu_->status(), "running");
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_TRUE(wait_for([&] { return text_of("told").ends_with("q"); }));
}

TEST_F(TrapTest, AGuestThatResetsWhileItIsDisarmedGoesOn) {
  the_kernel_ended("orderly");
  set_trap();
  qemu_->guest_resets_amid("set-action", kKernel);
  ASSERT_TRUE(disarm());
  EXPECT_TRUE(runs_again());
  EXPECT_THAT(notes_, Contains(HasSubstr("its reset was carried out")));
  EXPECT_EQ(qemu_->actions(), kDefaults);
  EXPECT_TRUE(wait_for([&] { return text_of("told").ends_with("q"); }));
}

TEST_F(TrapTest, AGuestThatPanicsWhileItIsDisarmedIsKept) {
  the_kernel_ended("panicked");
  set_trap();
  qemu_->guest_resets_amid("set-action", kKernel);
  ASSERT_TRUE(disarm());
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  EXPECT_EQ(qemu_->status(), "shutdown");
  ASSERT_TRUE(act(GuestDeed::restart, true));
  EXPECT_EQ(qemu_->actions(), kDefaults);
}

TEST_F(TrapTest, AGuestThatResetsWhileOnlyItsTrapIsTakenOffGoesOn) {
  the_kernel_ended("orderly");
  set_trap();
  qemu_->guest_resets_amid("set-action", kKernel);
  ASSERT_TRUE(arm(false));
  EXPECT_TRUE(runs_again());
  EXPECT_EQ(qemu_->actions(), kArmed);
}

TEST_F(TrapTest, ADisarmedGuestHasNoGuardian) {
  set_trap();
  ASSERT_TRUE(disarm());
  EXPECT_TRUE(wait_for([&] { return text_of("told") == "-q"; }));
}

TEST_F(TrapTest, AGuestThatResetsWhileItsGuardianDiesGoesOn) {
  the_kernel_ended("orderly");
  make_program("vmcore-guardian", "#!/bin/sh\nsleep 0.3\n");
  set_trap();
  qemu_->guest_resets_amid("set-action", kKernel);
  EXPECT_TRUE(wait_for([&] {
    return std::ranges::any_of(notes_, [](const std::string& note) {
      return note.find("its reset was carried out") != note.npos;
    });
  }));
  EXPECT_EQ(qemu_->status(), "running");
}

TEST_F(TrapTest, AGuestThatIsLeftIsLeftByTheGuardianToo) {
  the_kernel_ended("panicked");
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  folder_->leave(id_);
  folder_.reset();
  EXPECT_TRUE(wait_for([&] { return text_of("told") == "-rrk"; }));
}

// Its crash was handled by the vmcored before: it is neither looked at nor carried on.
TEST_F(TrapTest, APreservedGuestIsFoundAsItIs) {
  start_qemu();
  open({{socket(), {.armed = true, .trap = true}}});
  ASSERT_TRUE(wait_for_events(1));
  folder_.reset();
  qemu_->guest_resets(kKernel);
  events_.clear();
  const acquire::ProcessKey self{::getpid(), acquire::start_time(::getpid()).value_or(0)};
  open({{socket(), {.armed = true, .trap = true, .stays = self}}});
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_THAT(events_, ElementsAre("reset-trapped found"));
  EXPECT_EQ(listed_.size(), 2U);
  EXPECT_EQ(calls(), "");
  EXPECT_EQ(qemu_->status(), "shutdown");
  folder_.reset();
  EXPECT_TRUE(wait_for([&] { return text_of("told").ends_with("k"); }));
}

// The service keeps its crash once, whatever becomes of the connection.
TEST_F(TrapTest, AGuestInTheTrapIsNotLookedAtAgainWhereTheConnectionIsLost) {
  the_kernel_ended("panicked");
  set_trap();
  qemu_->guest_resets(kKernel);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped"; }));
  const std::string before = calls();
  ASSERT_TRUE(folder_->lend(id_));
  folder_->take_back(id_, false);
  ASSERT_TRUE(wait_for([&] { return events_.back() == "reset-trapped found"; }));
  EXPECT_EQ(calls(), before);
  EXPECT_THAT(events_, ElementsAre("started found", "reset-trapped", "reset-trapped found"));
}

// vmcored and its guardian were killed; the next vmcored finds the guest.
TEST_F(TrapTest, AGuestThatIsFoundInTheTrap) {
  the_kernel_ended("panicked");
  start_qemu();
  open({{socket(), {.armed = true, .trap = true}}});
  ASSERT_TRUE(wait_for_events(1));
  folder_.reset();
  qemu_->guest_resets(kKernel);
  events_.clear();
  open({{socket(), {.armed = true, .trap = true}}});
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_THAT(events_, ElementsAre("reset-trapped found"));
}

TEST_F(TrapTest, AGuestThatIsFoundInTheTrapAndEndedInOrderGoesOn) {
  the_kernel_ended("orderly");
  start_qemu();
  open({{socket(), {.armed = true, .trap = true}}});
  ASSERT_TRUE(wait_for_events(1));
  folder_.reset();
  qemu_->guest_resets(kKernel);
  events_.clear();
  open({{socket(), {.armed = true, .trap = true}}});
  EXPECT_TRUE(runs_again());
  ASSERT_TRUE(wait_for_events(1));
  EXPECT_EQ(events_[0], "started found");
  EXPECT_THAT(events_, testing::Not(Contains(HasSubstr("trapped"))));
}

// Its memory tells what it wanted.
TEST_F(TrapTest, AGuestThatIsFoundInTheTrapAndPoweredOffEnds) {
  the_kernel_ended("orderly", true);
  start_qemu();
  open({{socket(), {.armed = true, .trap = true}}});
  ASSERT_TRUE(wait_for_events(1));
  folder_.reset();
  qemu_->guest_powers_off(kKernel);
  open({{socket(), {.armed = true, .trap = true}}});
  EXPECT_TRUE(wait_for([&] { return qemu_->ended(); }));
}

}  // namespace
}  // namespace vmcore::daemon
