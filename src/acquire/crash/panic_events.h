// SPDX-License-Identifier: GPL-2.0-or-later
// PanicEvents: what happens to the guests of a libvirt connection, or to the guest of a QMP
// monitor, for whoever waits for a crash.
//
// QEMU's events are triggered by the guest: the panic device of its kernel sends them before the
// capture kernel takes over only if crash_kexec_post_notifiers is set, and any process with access
// to its I/O ports can send them. So an event confirms a crash, but a missing event does not deny
// one.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qmp/client.h"
#include "src/base/result.h"

namespace vmcore::acquire {

struct GuestEvent {
  enum class Kind : std::uint8_t {
    panicked,         // and is stopped, or is ended next
    panicked_runs,    // and QEMU lets it run on
    crash_loaded,     // it panicked, and goes on to its capture kernel (QEMU 5.0)
    after_crash,      // libvirt says that it runs after a crash: in its panic, or booted since
    reset,            // by the guest or from outside; found: it stands still since, by a monitor
    shutdown,         // the guest powered off; of QEMU also its own end
    watchdog,         // the guest's watchdog device expired
    started,          // it runs, or can be resumed
    stopped,          // its QEMU has ended
    reset_trapped,    // its kernel crashed, and it stands still before its reset or power-off
    connection_lost,  // the last event of a stream
  };
  Kind kind = Kind::started;
  std::string name = {};  // of the guest; empty for connection_lost of a libvirt connection
  std::string uuid = {};  // empty if the guest has none
  std::chrono::microseconds time{};  // since the epoch; of QEMU's clock if QEMU tells it
  bool found = false;        // how the guest was when the stream began: it did not happen just now
  std::string details = {};  // in QEMU's or libvirt's words; untrusted text, at most kMaxDetails
  bool operator==(const GuestEvent&) const = default;
};

inline constexpr std::size_t kMaxDetails = 16U << 10;

class PanicEvents {
 public:
  virtual ~PanicEvents() = default;
  // Becomes readable when there is something new. Call next() until it returns nothing before
  // waiting for it, and do not wait for it after connection_lost.
  virtual int fd() const = 0;
  // The earliest event that was not returned yet, without waiting.
  virtual std::optional<GuestEvent> next() = 0;
};

// All guests of a libvirt. Domains are listed after callbacks were registered, and are returned
// first (found). No domain is tainted. At most kMostWaiting events of a guest wait; if more come,
// the latest replaces the one before it. Callbacks run in the thread of connect_libvirt(); the
// object belongs to one thread.
inline constexpr std::size_t kMostWaiting = 64;
Result<std::unique_ptr<PanicEvents>> events_of_libvirt(const std::string& uri);

// One guest, by a monitor that keeps kGuestEvents. The guest's state is asked for first (found).
Result<std::unique_ptr<PanicEvents>> events_of_monitor(std::shared_ptr<qmp::Client> monitor);

// "panicked", "crash-loaded": a stable word of each kind.
std::string_view kind_name(GuestEvent::Kind kind);
std::optional<GuestEvent::Kind> kind_named(std::string_view name);

// QEMU's names of the events that become a GuestEvent.
extern const std::vector<std::string> kGuestEvents;
// Nothing for an event of another name. `data` is QEMU's.
std::optional<GuestEvent::Kind> kind_of_event(std::string_view name, const qmp::Json& data);
// The same, as an event without name and UUID.
std::optional<GuestEvent> read_event(const qmp::Event& event);
// Nothing for what is no news of a crash. The arguments of virConnectDomainEventCallback.
std::optional<GuestEvent::Kind> kind_of_lifecycle(int event, int detail);

}  // namespace vmcore::acquire
