// SPDX-License-Identifier: GPL-2.0-or-later
// A Keeper between a source of events that the test makes and a vmcorectl that is a shell script.
#include "src/daemon/keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "src/report/crash_event.h"
#include "src/report/dump.h"
#include "src/report/job_event.h"
#include "src/vault/vault.h"
#include "tests/fakes/faulty_sys.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using acquire::GuestEvent;
using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using Kind = GuestEvent::Kind;

// Carries out each order at once.
class FakeSource final : public GuestSource {
 public:
  FakeSource(Loop& loop, std::vector<std::string>& deeds) : loop_(loop), deeds_(deeds) {}

  bool has(const GuestId& guest) const override { return guest.from == "fake"; }
  Result<LentGuest> lend(const GuestId& guest) override {
    return LentGuest{.words = {"--", guest.name}};
  }
  void take_back(const GuestId& guest, bool usable) override {
    deeds_.push_back(guest.name + (usable ? " is given back" : " is given back unusable"));
  }
  void act(const GuestId& guest, GuestDeed deed, bool only_if_stopped,
           std::function<void(Result<>)> done) override {
    deeds_.push_back(std::string(deed_name(deed)) + " " + guest.name +
                     (only_if_stopped ? " if stopped" : ""));
    loop_.after(milliseconds(0), [done = std::move(done)] { done({}); });
  }
  std::optional<acquire::ProcessKey> process_of(const GuestId&) override {
    return acquire::ProcessKey{100, 5};
  }
  std::optional<config::AfterCrash> wanted_after_crash(const GuestId&) override {
    return config::AfterCrash::restart;
  }
  std::vector<config::Setting> asked_policy(const GuestId& guest) override {
    if (guest.name != "asks") {
      return {};
    }
    return {{"after-crash", "preserve"}, {"hooks", "/bin/sh"}};
  }

 private:
  Loop& loop_;
  std::vector<std::string>& deeds_;
};

constexpr const char* kVmcorectl = R"sh(#!/bin/sh
cd "$(dirname "$0")" || exit 1
echo "$@" >> calls
verb=$1
while [ $# -gt 0 ]; do
  case $1 in --report-fd) report=$2 ;; --go-fd) go=$2 ;; --) guest=$2 ;; esac
  shift
done
say() { cat "$1" > "/dev/fd/$report"; }
await_go() { [ -n "$(head -c 1 < "/dev/fd/$go")" ]; }
[ "$verb" = prune ] || . ./job
)sh";

class KeeperTest : public testing::Test {
 protected:
  KeeperTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as vmcored does
    char name[] = "/tmp/vmcored-keeper-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::ofstream(program()) << kVmcorectl;
    fs::permissions(program(), fs::perms::owner_all);
    write("flash", report::to_line(report::JobFlash{.kept = true, .signature = {.title = "BUG"}}));
    write("memory-read", report::to_line(report::JobMemoryRead{.monitor = true}));
    write(
        "end",
        report::to_line(report::JobEnd{
            .report = report::to_json(report::DumpReport{
                .dump = report::DumpFile{.path = "C1/vmcore", .as_asked = true}, .kept = "C1"})}));
    config_.store = folder_ / "store";
    fs::create_directory(config_.store);
  }
  ~KeeperTest() override {
    fakes::no_faults();
    keeper_.reset();
    std::error_code ignored;  // the policy of a crash may still be written to the store
    fs::remove_all(folder_, ignored);
  }

  fs::path program() const { return folder_ / "vmcorectl"; }
  void write(const char* name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  std::string read(const char* name) const {
    std::ostringstream text;
    text << std::ifstream(folder_ / name).rdbuf();
    return text.str();
  }
  bool there(const std::string& name) const { return fs::exists(folder_ / name); }

  // What the script does as `dump`.
  void job(const std::string& text) const { write("job", text); }
  void start() {
    keeper_.reset();
    loop_ = std::make_unique<Loop>();
    keeper_ = std::make_unique<Keeper>(
        *loop_, config_, *GuestRecords::open(folder_ / "state"),
        Keeper::Programs{.vmcorectl = program()},
        Keeper::Calls{.on_settled =
                          [this](const GuestId& id, const CrashOutcome& outcome) {
                            settled_.push_back(id.name + (outcome.id.empty()
                                                              ? " lost: " + outcome.why
                                                              : " " + outcome.id));
                          },
                      .on_surplus = [this](const GuestId& id) { surplus_.push_back(id.name); }});
    keeper_->add(std::make_unique<FakeSource>(*loop_, deeds_));
  }
  void happens(const std::string& guest, Kind kind, bool found = false) {
    keeper_->events().on_event({.from = "fake", .name = guest, .uuid = guest},
                               {.kind = kind, .name = guest, .uuid = guest, .found = found});
  }
  template <class Condition>
  void until(Condition condition) {
    const auto deadline = Loop::Clock::now() + std::chrono::seconds(20);
    while (!condition() && Loop::Clock::now() < deadline) {
      ASSERT_TRUE(loop_->run_once(milliseconds(20)));
    }
    EXPECT_TRUE(condition()) << "it did not happen; calls:\n" << read("calls");
  }
  // Without the loop.
  void wait_for(const std::string& name) const {
    for (int i = 0; i < 400 && !there(name); ++i) {
      std::this_thread::sleep_for(milliseconds(50));
    }
    EXPECT_TRUE(there(name)) << name;
  }
  std::size_t records() const {
    std::vector<Error> damaged;
    return GuestRecords::open(folder_ / "state")->load(damaged).size();
  }

  fs::path folder_;
  std::unique_ptr<Loop> loop_;
  config::Config config_{.guests = {.after_crash = config::AfterCrash::restart}};
  std::vector<std::string> deeds_;
  std::vector<std::string> settled_;
  std::vector<std::string> surplus_;
  std::unique_ptr<Keeper> keeper_;
};

TEST_F(KeeperTest, APanicBecomesAStoredCrashAndARestart) {
  job("say flash; await_go\n"
      "while [ ! -e finish ]; do sleep 0.05; done; say memory-read; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return records() == 1; });
  write("finish", "");
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
  EXPECT_THAT(deeds_, ElementsAre("vm1 is given back", "restart vm1 if stopped"));
  EXPECT_THAT(read("calls"), HasSubstr("dump -q --keep"));
  EXPECT_THAT(read("calls"), HasSubstr("-- vm1"));
  until([&] { return records() == 0; });
}

// The guest's definition asks for a policy, and for what no definition is granted.
TEST_F(KeeperTest, APolicyThatTheDefinitionAsksFor) {
  job("say flash; await_go; say memory-read; say end");
  start();
  happens("asks", Kind::panicked);
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("asks C1"));
  EXPECT_THAT(deeds_, ElementsAre("asks is given back"));
}

// Each job begins when the process of the one before has ended.
TEST_F(KeeperTest, ALookThatFindsAPanicIsFollowedByADump) {
  write("info", report::to_json(report::InfoReport{
                    .kernel = report::KernelInfo{.release = "6.12", .panicked = true}}));
  job("if [ \"$verb\" = info ]; then cat info; else say flash; await_go; say end; fi");
  start();
  happens("vm1", Kind::after_crash, true);
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
  EXPECT_THAT(read("calls"), HasSubstr("dump -q --keep"));
}

TEST_F(KeeperTest, APanicWhileTheOneBeforeIsCompressedIsKeptNext) {
  job("say flash; await_go; say memory-read\n"
      "while [ ! -e finish ]; do sleep 0.05; done; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return deeds_.size() == 2; });  // given back, restarted
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(20)));
  }
  happens("vm1", Kind::panicked);
  write("finish", "");
  until([&] { return settled_.size() == 2; });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1", "vm1 C1"));
}

TEST_F(KeeperTest, AllFlashReportsAreMadeAtOnceAndDumpsOneByOne) {
  config_.dumps = 1;
  job("say flash; : > flashed-$guest; await_go; : > dumps-$guest\n"
      "while [ ! -e finish ]; do sleep 0.05; done; say end");
  start();
  happens("vm1", Kind::panicked);
  happens("vm2", Kind::panicked);
  until([&] { return there("flashed-vm1") && there("flashed-vm2"); });
  until([&] { return there("dumps-vm1") || there("dumps-vm2"); });
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(20)));
  }
  EXPECT_NE(there("dumps-vm1"), there("dumps-vm2"));
  write("finish", "");
  until([&] { return settled_.size() == 2; });
}

TEST_F(KeeperTest, AJobThatDiesIsTriedAgainAfterTheStoreWasCompleted) {
  job("kill -9 $$");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_,
              ElementsAre(HasSubstr("vm1 lost: its job ended without a report: killed by")));
  const std::string calls = read("calls");
  EXPECT_NE(calls.find("prune"), calls.rfind("prune"));
  EXPECT_THAT(deeds_, testing::Contains("restart vm1 if stopped"));
}

TEST_F(KeeperTest, AJobThatTakesTooLongIsToldToEnd) {
  config_.guests.dump_limit = std::chrono::seconds(1);
  job("say flash; await_go; cat; : > told");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return !settled_.empty(); });
  EXPECT_TRUE(there("told"));
  EXPECT_THAT(settled_, ElementsAre(HasSubstr("its time was over")));
}

TEST_F(KeeperTest, WhenItStopsJobsAreToldToEndAndTheNextStartGoesOn) {
  job("say flash; await_go; : > began; cat; : > told");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return there("began"); });
  bool stopped = false;
  keeper_->stop([&] { stopped = true; });
  until([&] { return stopped; });
  EXPECT_TRUE(there("told"));
  EXPECT_EQ(records(), 1U);
  EXPECT_THAT(deeds_, ElementsAre("vm1 is given back unusable"));

  job("say flash; await_go; say memory-read; say end");
  start();
  happens("vm1", Kind::panicked, true);
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
}

// The guest was restarted: nobody can read that memory again.
TEST_F(KeeperTest, WhenItStopsMemoryThatIsReadIsWritten) {
  job("say flash; await_go; say memory-read; : > began\n"
      "while [ ! -e finish ]; do sleep 0.05; done; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return there("began") && deeds_.size() == 2; });
  bool stopped = false;
  keeper_->stop([&] { stopped = true; });
  write("finish", "");
  until([&] { return stopped; });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
  EXPECT_EQ(records(), 0U);
}

// vmcored ends before the dump is written: nothing else has that memory.
TEST_F(KeeperTest, AJobWhoseGuestWasCarriedOnOutlivesIt) {
  job("say flash; await_go; say memory-read; cat > words; : > told\n"
      "while [ ! -e finish ]; do sleep 0.05; done; : > finished");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return deeds_.size() == 2; });
  keeper_.reset();
  wait_for("told");
  EXPECT_EQ(read("words"), std::string(1, report::kFinishWord));
  write("finish", "");
  wait_for("finished");
}

// The next one tells of the crash that such a job keeps, when it is kept.
TEST_F(KeeperTest, ACrashThatIsKeptAfterVmcoredHasEndedIsTold) {
  ASSERT_TRUE(GuestRecords::open(folder_ / "state")
                  ->save({.name = "vm1",
                          .uuid = "vm1",
                          .from = "fake",
                          .crash = RecordedCrash{.time_us = 1'796'593'500'123'456}}));
  start();
  happens("vm1", Kind::started, true);
  until([&] { return records() == 0; });
  const auto vault = vault::Vault::open_to_write(config_.store);
  ASSERT_TRUE(vault);
  auto draft = vault->begin(0);
  ASSERT_TRUE(draft);
  ASSERT_TRUE(draft->write(
      "event.json", report::to_json(report::CrashEvent{
                        .kind = "panicked", .time_us = 1'796'593'500'123'456, .guest = "vm1"})));
  const auto kept = draft->commit({.capture = {.guest = {.name = "vm1", .uuid = "vm1"}}},
                                  [](report::Manifest&, const std::string&) { return Result<>(); });
  ASSERT_TRUE(kept) << kept.error().message;
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 " + kept->id));
}

TEST_F(KeeperTest, AJobWhoseGuestStandsDoesNot) {
  config_.guests.after_crash = config::AfterCrash::preserve;
  job("say flash; await_go; say memory-read; cat > words; sleep 0.3; : > finished");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return there("words"); });
  keeper_.reset();
  std::this_thread::sleep_for(milliseconds(600));
  EXPECT_FALSE(there("finished"));
  EXPECT_EQ(read("words"), "");
}

// It was told to finish, and does not: its standard input means nothing to it any more.
TEST_F(KeeperTest, AJobThatFinishesTooLateIsTerminated) {
  config_.guests.dump_limit = std::chrono::seconds(1);
  job("trap ': > told; exit 1' TERM; say flash; await_go; say memory-read\n"
      "while :; do sleep 0.05; done");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return !settled_.empty(); });
  EXPECT_TRUE(there("told"));
  EXPECT_THAT(settled_, ElementsAre(HasSubstr("its time was over")));
}

TEST_F(KeeperTest, AKeptCrashIsNotKeptAgainByTheNextStart) {
  config_.guests.after_crash = config::AfterCrash::preserve;
  job("say flash; await_go; say memory-read; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return !settled_.empty(); });
  fs::remove(folder_ / "calls");
  start();
  happens("vm1", Kind::panicked, true);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(10)));
  }
  EXPECT_FALSE(there("calls"));
  EXPECT_EQ(keeper_->state_of({.from = "fake", .name = "vm1", .uuid = "vm1"}), "kept");
}

TEST_F(KeeperTest, AGuestWithoutAChannelIsDumpedFromOutside) {
  job("say flash; await_go; say memory-read; say end");
  start();
  happens("vm1", Kind::crash_loaded);
  until([&] { return there("calls"); });
  EXPECT_THAT(read("calls"), HasSubstr("dump"));
  EXPECT_THAT(read("calls"), testing::Not(HasSubstr("receive")));
}

// No policy is carried out before the record is on disk, and the loop goes on meanwhile.
TEST_F(KeeperTest, AStalledDiskDelaysItsGuestAndNotTheLoop) {
  job("say flash; await_go; say memory-read; say end");
  start();
  fakes::faults.stalled = true;
  happens("vm1", Kind::panicked);
  bool turned = false;
  loop_->after(milliseconds(0), [&] { turned = true; });
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(10)));
  }
  EXPECT_TRUE(turned);
  until([&] { return !deeds_.empty(); });
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(20)));
  }
  EXPECT_THAT(deeds_, ElementsAre("vm1 is given back"));
  fakes::no_faults();
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
}

TEST_F(KeeperTest, AFlashReportThatCannotBeReadDelaysNoDump) {
  write("flash", "{\"event\": \"flash\", garbage\n");
  job("say flash; await_go; say memory-read; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
}

TEST_F(KeeperTest, AJobThatCannotBeStartedIsStartedLater) {
  job("say flash; await_go; say memory-read; say end");
  start();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none{3, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  happens("vm1", Kind::panicked);
  const auto end = Loop::Clock::now() + milliseconds(300);
  while (Loop::Clock::now() < end) {
    ASSERT_TRUE(loop_->run_once(milliseconds(20)));
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(there("calls"));
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
}

TEST_F(KeeperTest, EachJobGetsItsPartOfTheHost) {
  config_.dumps = 3;
  config_.memory = 3000;
  config_.threads = 7;
  job("say flash; await_go; say memory-read; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return there("calls"); });
  EXPECT_THAT(read("calls"), HasSubstr("--threads 2 --memory-budget 1000"));
}

TEST_F(KeeperTest, GuestsThatHaveEndedAreForgotten) {
  start();
  for (int i = 0; i < 100; ++i) {
    happens("transient" + std::to_string(i), Kind::started);
    happens("transient" + std::to_string(i), Kind::stopped);
  }
  happens("stays", Kind::started);
  until([&] { return keeper_->guests().size() == 1; });
  EXPECT_EQ(keeper_->guests().front().name, "stays");
}

TEST_F(KeeperTest, AGuestThatEndsInItsCrashIsForgottenAfterwards) {
  job("say flash; await_go; say memory-read\n"
      "while [ ! -e finish ]; do sleep 0.05; done; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return deeds_.size() == 2; });
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(10)));
  }
  happens("vm1", Kind::stopped);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(loop_->run_once(milliseconds(10)));
  }
  EXPECT_EQ(keeper_->guests().size(), 1U);
  write("finish", "");
  until([&] { return keeper_->guests().empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
  EXPECT_EQ(records(), 0U);
}

// Of a domain that does not exist any more.
TEST_F(KeeperTest, ARecordOfAGuestThatIsNotThereGoesWhenAllAreListed) {
  const GuestRecords before = *GuestRecords::open(folder_ / "state");
  ASSERT_TRUE(before.save(
      {.name = "old", .uuid = "old", .from = "fake", .crash = RecordedCrash{.time_us = 1}}));
  ASSERT_TRUE(before.save({.name = "armed", .uuid = "armed", .from = "fake", .armed = true}));
  ASSERT_TRUE(before.save({.name = "other",
                           .uuid = "other",
                           .from = "elsewhere",
                           .crash = RecordedCrash{.time_us = 1}}));
  start();
  happens("vm1", Kind::started, true);
  EXPECT_EQ(keeper_->guests().size(), 4U);
  keeper_->events().on_listed("fake");
  until([&] { return keeper_->guests().size() == 3; });
  EXPECT_EQ(records(), 2U);
}

TEST_F(KeeperTest, OfTooManyArmedGuestsThatHaveEndedTheFirstIsDisarmed) {
  start();
  for (std::size_t i = 0; i <= Keeper::kMostGone; ++i) {
    const std::string name = "vm" + std::to_string(i);
    keeper_->record_of({.from = "fake", .name = name, .uuid = name}).armed = true;
    happens(name, Kind::stopped);
  }
  EXPECT_THAT(surplus_, ElementsAre("vm0"));
}

TEST_F(KeeperTest, AJobThatSaysWhatIsNoEventChangesNothing) {
  write("noise", "garbage\n\n{}\n");
  job("say noise; say flash; await_go; say memory-read; say end");
  start();
  happens("vm1", Kind::panicked);
  until([&] { return !settled_.empty(); });
  EXPECT_THAT(settled_, ElementsAre("vm1 C1"));
}

}  // namespace
}  // namespace vmcore::daemon
