// SPDX-License-Identifier: GPL-2.0-or-later
// CrashWatcher: whether one guest has crashed, by its PanicEvents.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "src/acquire/crash/panic_events.h"
#include "src/acquire/selection.h"
#include "src/base/result.h"

namespace vmcore::acquire {

enum class CrashSeen : std::uint8_t {
  no,
  runs_on,  // it panicked, and goes on to its capture kernel or in its panic
  stopped,  // it panicked, and was stopped
};

class CrashWatcher {
 public:
  // `uuid`: whose events count; empty: all.
  explicit CrashWatcher(std::unique_ptr<PanicEvents> events, std::string uuid = {})
      : events_(std::move(events)), uuid_(std::move(uuid)) {}

  // Readable when seen() may change; -1 if the connection is lost.
  int fd() const { return events_ ? events_->fd() : -1; }
  // By the last event since watching began and since the guest was last started or reset. If the
  // connection is lost, the value stays as it is.
  CrashSeen seen();

 private:
  std::unique_ptr<PanicEvents> events_;
  std::string uuid_;
  CrashSeen seen_ = CrashSeen::no;
};

// A domain, by libvirt's events.
Result<CrashWatcher> watch_domain(const std::string& uri, const std::string& uuid);
// The guest of a monitor, which is held until the watcher ends.
Result<CrashWatcher> watch_monitor(const Selection& selection);

}  // namespace vmcore::acquire
