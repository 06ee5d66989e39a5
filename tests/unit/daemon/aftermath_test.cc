// SPDX-License-Identifier: GPL-2.0-or-later
// What is still to be written when the service ends is written.
#include "src/daemon/aftermath.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "src/base/whole_file.h"
#include "src/vault/vault.h"
#include "tests/fakes/faulty_sys.h"

namespace vmcore::daemon {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

class AftermathTest : public testing::Test {
 protected:
  AftermathTest() {
    ::signal(SIGPIPE, SIG_IGN);  // as vmcored does
    char folder[] = "/tmp/vmcorectl-test-XXXXXX";
    root_ = ::mkdtemp(folder);
    config_.store = root_ / "store";
    config_.hooks = root_ / "hooks.d";
    config_.metrics = root_ / "vmcored.prom";
    config_.self_check = false;
    fs::create_directory(config_.hooks);
    std::ofstream(config_.hooks / "hook")
        << "#!/bin/sh\n: > " << (root_ / "hooked").string() << "\n";
    fs::permissions(config_.hooks / "hook", fs::perms::owner_all);
  }
  ~AftermathTest() override {
    fakes::no_faults();
    std::error_code ignored;  // what was begun may still be written
    fs::remove_all(root_, ignored);
  }

  CrashOutcome keep() {
    const vault::Vault vault = vault::Vault::open_to_write(config_.store).value();
    auto draft = vault.begin(0).value();
    EXPECT_TRUE(draft.write("report.txt", "It crashed."));
    const report::Manifest manifest{
        .reason = "panic", .capture = {.guest = {.name = "vm1", .host = "host1"}}, .tool = "test"};
    const auto kept =
        draft.commit(manifest, [](report::Manifest&, const std::string&) { return Result<>(); });
    return {.id = kept.value().id, .whole = true};
  }
  void start() {
    auto started = Aftermath::start(loop_, config_, root_ / "marks");
    ASSERT_TRUE(started) << started.error().message;
    aftermath_ = *std::move(started);
  }
  // Whether finish() calls back by then.
  bool finishes(milliseconds most) {
    bool done = false;
    aftermath_->finish([&] { done = true; });
    return runs_until(most, [&] { return done; });
  }
  template <class Condition>
  bool runs_until(milliseconds most, Condition condition) {
    const auto deadline = Loop::Clock::now() + most;
    while (!condition() && Loop::Clock::now() < deadline) {
      EXPECT_TRUE(loop_.run_once(milliseconds(20)));
    }
    return condition();
  }

  fs::path root_;
  config::Config config_;
  Loop loop_;
  std::unique_ptr<Aftermath> aftermath_;
};

TEST_F(AftermathTest, AHookRunsAndTheCrashIsCounted) {
  start();
  aftermath_->add(keep(), 0);
  const auto written = [&] {
    return read_file(config_.metrics.string())
               .value_or("")
               .find("hook_runs_total{result=\"done\"} 1") != std::string::npos;
  };
  EXPECT_TRUE(runs_until(seconds(20), [&] { return fs::exists(root_ / "hooked") && written(); }));
}

TEST_F(AftermathTest, ACrashThatIsSettledAtTheEndIsMarkedAndCounted) {
  start();
  const CrashOutcome outcome = keep();
  fakes::faults.stalled = true;  // its mark waits for the disk
  aftermath_->add(outcome, 0);
  bool done = false;
  aftermath_->finish([&] { done = true; });
  EXPECT_FALSE(runs_until(milliseconds(300), [&] { return done; }));
  fakes::no_faults();
  EXPECT_TRUE(runs_until(seconds(3), [&] { return done; }));
  EXPECT_TRUE(fs::exists(root_ / "marks" / outcome.id));
  EXPECT_FALSE(fs::exists(root_ / "hooked"));
  EXPECT_THAT(read_file(config_.metrics.string()).value_or(""),
              HasSubstr("vmcored_dumps_total{result=\"kept\"} 1"));
  aftermath_.reset();

  start();  // the next service
  EXPECT_TRUE(runs_until(seconds(20), [&] { return fs::exists(root_ / "hooked"); }));
}

TEST_F(AftermathTest, ADiskThatStallsDoesNotKeepTheServiceForEver) {
  start();
  const CrashOutcome outcome = keep();
  fakes::faults.stalled = true;
  aftermath_->add(outcome, 0);
  EXPECT_TRUE(finishes(seconds(10)));
}

TEST_F(AftermathTest, NothingToWriteIsNotWaitedFor) {
  start();
  EXPECT_TRUE(finishes(seconds(2)));
}

}  // namespace
}  // namespace vmcore::daemon
