// SPDX-License-Identifier: GPL-2.0-or-later
// CrashWitness: what QEMU reports of a guest's crash, beside what the guest claims itself.
//
// QEMU's events are triggered by the guest: the panic device of its kernel sends them before the
// capture kernel takes over only if crash_kexec_post_notifiers is set, and any process with access
// to its I/O ports can send them. So an event confirms a crash, but a missing event does not deny
// one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "qmp/client.h"
#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::acquire {

enum class CrashSeen : std::uint8_t {
  no,
  runs_on,  // it panicked, and goes on to its panic kernel (GUEST_CRASHLOADED, QEMU 5.0)
  stopped,  // it panicked, and QEMU stopped it (GUEST_PANICKED)
};

class CrashWitness {
 public:
  virtual ~CrashWitness() = default;
  // The last event since watching began and since the guest was last reset. Call now and then: it
  // receives new events. If the connection is lost, the value stays as it is.
  virtual CrashSeen seen() = 0;
};

// By libvirt's events.
Result<std::unique_ptr<CrashWitness>> watch_domain(const Selection& selection);
// By QEMU's own events and the state of the guest. The monitor is held until the object ends.
Result<std::unique_ptr<CrashWitness>> watch_monitor(const std::filesystem::path& socket);

// The same; of a client that keeps the events that it must, kCrashEvents.
extern const std::vector<std::string> kCrashEvents;
Result<std::unique_ptr<CrashWitness>> watch_monitor(qmp::Client monitor);

}  // namespace vmcore::acquire
