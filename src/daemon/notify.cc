// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include <cinttypes>

namespace vmcore::daemon {
namespace {

void beat(Loop& loop, std::chrono::microseconds every) {
  ::sd_notify(0, "WATCHDOG=1");
  loop.after(every, [&loop, every] { beat(loop, every); });
}

}  // namespace

void notify_ready() { ::sd_notify(0, "READY=1"); }

// Type=notify-reload wants to know when (systemd.service(5)).
void notify_reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 +
                            static_cast<std::uint64_t>(now.tv_nsec) / 1'000;
  ::sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, microseconds);
}

void notify_stopping() { ::sd_notify(0, "STOPPING=1"); }

void feed_watchdog(Loop& loop) {
  std::uint64_t period = 0;
  if (::sd_watchdog_enabled(0, &period) > 0) {
    beat(loop, std::chrono::microseconds(period / 2));
  }
}

}  // namespace vmcore::daemon
