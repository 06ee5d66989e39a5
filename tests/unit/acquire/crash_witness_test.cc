// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/watcher.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/fakes/fake_qemu.h"

namespace vmcore::acquire {
namespace {

std::unique_ptr<CrashWitness> watch(fakes::FakeQemu& qemu, const std::string& status) {
  qemu.serve({{"query-status", [status](const qmp::Json&, auto&) {
                 return R"({"status": ")" + status + R"("})";
               }}});
  auto monitor = qmp::Client::open(qemu.client_end(), {.events = kCrashEvents});
  auto witness = watch_monitor(*std::move(monitor));
  EXPECT_TRUE(witness);
  return *std::move(witness);
}

TEST(MonitorWitness, TheLastEventCounts) {
  fakes::FakeQemu qemu;
  const auto witness = watch(qemu, "running");
  const auto after = [&](const std::string& events) {
    qemu.say(events);
    return witness->seen();
  };
  const auto panicked = [](unsigned time, const char* action) {
    return fakes::event("GUEST_PANICKED", time, std::string(R"({"action": ")") + action + "\"}");
  };
  EXPECT_EQ(witness->seen(), CrashSeen::no);
  EXPECT_EQ(after(fakes::event("GUEST_CRASHLOADED", 1)), CrashSeen::runs_on);
  EXPECT_EQ(witness->seen(), CrashSeen::runs_on);
  EXPECT_EQ(after(fakes::event("STOP", 2)), CrashSeen::runs_on);
  EXPECT_EQ(after(fakes::event("RESET", 3)), CrashSeen::no);
  EXPECT_EQ(after(panicked(4, "pause")), CrashSeen::stopped);
  EXPECT_EQ(after(panicked(5, "run")), CrashSeen::runs_on);
  EXPECT_EQ(after(fakes::event("GUEST_CRASHLOADED", 6) + fakes::event("RESET", 7)), CrashSeen::no);
  EXPECT_EQ(after(fakes::event("RESET", 8) + fakes::event("GUEST_CRASHLOADED", 9)),
            CrashSeen::runs_on);
  qemu.hang_up();
  EXPECT_EQ(witness->seen(), CrashSeen::runs_on);
}

TEST(MonitorWitness, AGuestThatPanickedBefore) {
  fakes::FakeQemu qemu;
  EXPECT_EQ(watch(qemu, "guest-panicked")->seen(), CrashSeen::stopped);
}

}  // namespace
}  // namespace vmcore::acquire
