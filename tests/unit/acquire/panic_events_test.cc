// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/panic_events.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <string>
#include <vector>

#include "src/acquire/crash/watcher.h"
#include "src/acquire/libvirt/connection.h"
#include "tests/fakes/fake_qemu.h"

namespace vmcore::acquire {
namespace {

using Kind = GuestEvent::Kind;

constexpr const char* kUuid = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

bool readable(int fd, int milliseconds = 0) {
  pollfd wait{fd, POLLIN, 0};
  return ::poll(&wait, 1, milliseconds) == 1;
}

std::vector<Kind> kinds_of(PanicEvents& events) {
  std::vector<Kind> kinds;
  while (const auto event = events.next()) {
    kinds.push_back(event->kind);
  }
  return kinds;
}

std::unique_ptr<PanicEvents> events_of(fakes::FakeQemu& qemu, const std::string& status) {
  qemu.serve({{"query-status",
               [status](const qmp::Json&, auto&) { return R"({"status": ")" + status + R"("})"; }},
              {"query-name", [](const qmp::Json&, auto&) { return R"({"name": "vm1"})"; }},
              {"query-uuid", [](const qmp::Json&, auto&) {
                 return R"({"UUID": ")" + std::string(kUuid) + R"("})";
               }}});
  auto monitor = qmp::Client::open(qemu.client_end(), {.events = kGuestEvents});
  auto events = events_of_monitor(std::make_shared<qmp::Client>(*std::move(monitor)));
  EXPECT_TRUE(events);
  return *std::move(events);
}

std::string panicked(unsigned time, const char* action) {
  return fakes::event("GUEST_PANICKED", time, std::string(R"({"action": ")") + action + "\"}");
}

TEST(MonitorEvents, SayWhatHappenedToWhom) {
  fakes::FakeQemu qemu;
  const auto events = events_of(qemu, "running");
  const auto found = events->next();
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->found);
  EXPECT_EQ(found->kind, Kind::started);
  EXPECT_EQ(events->next(), std::nullopt);
  EXPECT_FALSE(readable(events->fd()));
  qemu.say(panicked(7, "pause"));
  EXPECT_TRUE(readable(events->fd(), 1'000));
  const auto event = events->next();
  ASSERT_TRUE(event);
  EXPECT_EQ(event->kind, Kind::panicked);
  EXPECT_FALSE(event->found);
  EXPECT_EQ(event->name, "vm1");
  EXPECT_EQ(event->uuid, kUuid);
  EXPECT_EQ(event->time, std::chrono::seconds(1000) + std::chrono::microseconds(7));
  EXPECT_EQ(event->details, R"({"action":"pause"})");
}

TEST(MonitorEvents, EndWithTheLossOfTheConnection) {
  fakes::FakeQemu qemu;
  const auto events = events_of(qemu, "guest-panicked");
  qemu.say(fakes::event("RESET", 1) + fakes::event("RTC_CHANGE", 2) + panicked(3, "run") +
           fakes::event("GUEST_CRASHLOADED", 4) + fakes::event("WATCHDOG", 5) +
           fakes::event("SHUTDOWN", 6));
  qemu.hang_up();
  EXPECT_EQ(kinds_of(*events),
            (std::vector{Kind::panicked, Kind::reset, Kind::panicked_runs, Kind::crash_loaded,
                         Kind::watchdog, Kind::shutdown, Kind::connection_lost}));
  EXPECT_EQ(events->next(), std::nullopt);
  EXPECT_EQ(events->fd(), -1);
}

TEST(MonitorEvents, AGuestThatStandsStillAfterAResetIsFoundSo) {
  fakes::FakeQemu qemu;
  const auto found = events_of(qemu, "prelaunch")->next();
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->found);
  EXPECT_EQ(found->kind, Kind::reset);
}

TEST(CrashWatcher, TheLastEventCounts) {
  fakes::FakeQemu qemu;
  CrashWatcher watcher(events_of(qemu, "running"));
  const auto after = [&](const std::string& events) {
    qemu.say(events);
    return watcher.seen();
  };
  EXPECT_EQ(watcher.seen(), CrashSeen::no);
  EXPECT_EQ(after(fakes::event("GUEST_CRASHLOADED", 1)), CrashSeen::runs_on);
  EXPECT_EQ(watcher.seen(), CrashSeen::runs_on);
  EXPECT_EQ(after(fakes::event("STOP", 2)), CrashSeen::runs_on);
  EXPECT_EQ(after(fakes::event("RESET", 3)), CrashSeen::no);
  EXPECT_EQ(after(panicked(4, "pause")), CrashSeen::stopped);
  EXPECT_EQ(after(panicked(5, "run")), CrashSeen::runs_on);
  EXPECT_EQ(after(fakes::event("GUEST_CRASHLOADED", 6) + fakes::event("RESET", 7)), CrashSeen::no);
  EXPECT_EQ(after(fakes::event("RESET", 8) + fakes::event("GUEST_CRASHLOADED", 9)),
            CrashSeen::runs_on);
  qemu.hang_up();
  EXPECT_EQ(watcher.seen(), CrashSeen::runs_on);
  EXPECT_EQ(watcher.fd(), -1);
}

TEST(CrashWatcher, AGuestThatPanickedBefore) {
  fakes::FakeQemu qemu;
  EXPECT_EQ(CrashWatcher(events_of(qemu, "guest-panicked")).seen(), CrashSeen::stopped);
}

TEST(CrashWatcher, OtherGuestsDoNotCount) {
  fakes::FakeQemu qemu;
  EXPECT_EQ(CrashWatcher(events_of(qemu, "guest-panicked"), "another").seen(), CrashSeen::no);
}

// libvirt's own test driver, which has one domain, "test"; all connections share it.
class DomainEventsTest : public testing::Test {
 protected:
  DomainEventsTest() {
    auto connection = connect_libvirt(kUri);
    EXPECT_TRUE(connection);
    connection_ = *std::move(connection);
    domain_ = *find_domain(connection_.get(), "test", LookUp::name);
    auto events = events_of_libvirt(kUri);
    EXPECT_TRUE(events);
    events_ = *std::move(events);
  }
  void restart() {
    EXPECT_EQ(virDomainDestroy(domain_.get()), 0);
    EXPECT_EQ(virDomainCreate(domain_.get()), 0);
  }
  // So many events, and no more, as they come.
  std::vector<GuestEvent> wait_for(std::size_t count) {
    std::vector<GuestEvent> got;
    while (got.size() < count && readable(events_->fd(), 5'000)) {
      while (auto event = events_->next()) {
        got.push_back(*std::move(event));
      }
    }
    return got;
  }

  static constexpr const char* kUri = "test:///default";
  LibvirtConnection connection_;
  LibvirtDomain domain_;
  std::unique_ptr<PanicEvents> events_;
};

TEST_F(DomainEventsTest, BeginWithWhatIsThere) {
  restart();
  const std::vector<GuestEvent> got = wait_for(3);
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0].kind, Kind::started);
  EXPECT_TRUE(got[0].found);
  EXPECT_EQ(got[0].name, "test");
  EXPECT_EQ(got[0].uuid, uuid_of(domain_.get()));
  EXPECT_EQ(got[1].kind, Kind::stopped);
  EXPECT_EQ(got[1].details, "destroyed");
  EXPECT_FALSE(got[1].found);
  EXPECT_EQ(got[2].kind, Kind::started);
  EXPECT_FALSE(readable(events_->fd()));
}

// Nobody reads for a while.
TEST_F(DomainEventsTest, TheLastOfManyIsHowTheGuestIs) {
  for (std::size_t i = 0; i < kMostWaiting; ++i) {
    restart();
  }
  EXPECT_EQ(virDomainDestroy(domain_.get()), 0);
  ::usleep(300'000);  // libvirt's thread has added all
  const std::vector<GuestEvent> got = wait_for(kMostWaiting);
  EXPECT_EQ(got.size(), kMostWaiting);
  EXPECT_EQ(got.front().found, true);
  EXPECT_EQ(got.back().kind, Kind::stopped);
  EXPECT_EQ(virDomainCreate(domain_.get()), 0);
}

TEST(KindOfLifecycle, KnowsACrash) {
  EXPECT_EQ(kind_of_lifecycle(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_PANICKED),
            Kind::panicked);
  EXPECT_EQ(kind_of_lifecycle(VIR_DOMAIN_EVENT_CRASHED, VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED),
            Kind::crash_loaded);
  EXPECT_EQ(kind_of_lifecycle(VIR_DOMAIN_EVENT_SUSPENDED, 0), std::nullopt);
}

}  // namespace
}  // namespace vmcore::acquire
