// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/watcher.h"

#include <utility>

#include "src/acquire/qmp/monitor.h"

namespace vmcore::acquire {
namespace {

CrashSeen seen_by(GuestEvent::Kind kind, CrashSeen before) {
  switch (kind) {
    case GuestEvent::Kind::panicked:
      return CrashSeen::stopped;
    case GuestEvent::Kind::panicked_runs:
    case GuestEvent::Kind::crash_loaded:
      return CrashSeen::runs_on;
    case GuestEvent::Kind::started:
    case GuestEvent::Kind::reset:
      return CrashSeen::no;
    default:
      return before;
  }
}

}  // namespace

CrashSeen CrashWatcher::seen() {
  while (events_) {
    const auto event = events_->next();
    if (!event) {
      break;
    }
    if (event->kind == GuestEvent::Kind::connection_lost) {
      events_.reset();
    } else if (uuid_.empty() || event->uuid == uuid_) {
      seen_ = seen_by(event->kind, seen_);
    }
  }
  return seen_;
}

Result<CrashWatcher> watch_domain(const std::string& uri, const std::string& uuid) {
  TRY_ASSIGN(auto events, events_of_libvirt(uri));
  return CrashWatcher(std::move(events), uuid);
}

Result<CrashWatcher> watch_monitor(const Selection& selection) {
  TRY_ASSIGN(auto monitor, open_monitor(selection, kGuestEvents));
  TRY_ASSIGN(auto events, events_of_monitor(std::move(monitor)));
  return CrashWatcher(std::move(events));
}

}  // namespace vmcore::acquire
