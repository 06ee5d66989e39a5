// SPDX-License-Identifier: GPL-2.0-or-later
// GuestSource: guests of one kind as the service reaches them: the domains of a libvirt connection
// (link.h), or the QEMUs whose monitors are in a folder (qmp_folder.h). It tells what happens to
// them, lends them to jobs, and does to them what their policy says.
//
// All of it belongs to the loop's thread, and nothing of it blocks.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/crash/panic_events.h"
#include "src/acquire/guest.h"
#include "src/base/result.h"
#include "src/config/config.h"

namespace vmcore::daemon {

// Which guest.
struct GuestId {
  std::string from = {};  // the libvirt URI, or the path of the QMP socket
  std::string name = {};  // for people
  std::string uuid = {};  // empty if it has none
  // The same for all events of one guest: a socket has one guest, a connection many.
  std::string key() const { return uuid.empty() ? from : from + " " + uuid; }
  bool operator==(const GuestId&) const = default;
};

// What a job gets from a source, to reach a guest.
struct LentGuest {
  // That name the guest on vmcorectl's command line: {"-c", URI, "--name", NAME} or {"--qmp",
  // SOCKET, "--monitor-fd", "7"}.
  std::vector<std::string> words = {};
  // That the job inherits, under the same numbers. Borrowed.
  std::vector<int> fds = {};
  // Its own capture kernel can send its dump to this host: `vmcorectl receive` takes the words.
  bool can_send = false;
};

// What is done to a guest.
enum class GuestDeed : std::uint8_t {
  restart,  // it boots again, with what QEMU it has
  destroy,  // its QEMU ends
  resume,   // it runs on
  nmi,      // it is told to crash, by an NMI
};
// "restart": a stable word, as manifests have it.
std::string_view deed_name(GuestDeed deed);

// Calls of a source, in the loop's thread.
struct SourceEvents {
  // After connection_lost, which comes once for each guest, the source is blind until it tells how
  // the guest was found.
  std::function<void(const GuestId&, const acquire::GuestEvent&)> on_event;
  // The source has told how it found its guests, after it connected.
  std::function<void(const std::string& from)> on_listed;
  // A line about the source itself for the service's log: "connected to libvirt at ...".
  std::function<void(const std::string& text, bool bad)> on_note;
};

class GuestSource {
 public:
  virtual ~GuestSource() = default;

  // Whether the guest belongs to this source.
  virtual bool has(const GuestId& guest) const = 0;
  // Errc::busy if it is lent already; Errc::not_found if it is gone.
  virtual Result<LentGuest> lend(const GuestId& guest) = 0;
  // The job does not use it any more; `usable`: the monitor that was lent can be used as it is.
  // A second call, or a call for a guest that is gone, does nothing.
  virtual void take_back(const GuestId& guest, bool usable) = 0;
  // Calls `done` once, not before act() has returned, and not before the deed is done or has failed
  // for good: what libvirt or QEMU may still do is under way, however long that takes. A deed that
  // waits for a monitor that is lost is not begun any more.
  // `only_if_stopped`: the guest stood still when this was decided; if it runs by now, somebody
  // else has carried it on, which is Errc::guest_state.
  virtual void act(const GuestId& guest, GuestDeed deed, bool only_if_stopped,
                   std::function<void(Result<>)> done) = 0;

  // The guest stands still after its crash, and is to stand still even if this process ends, until
  // something is done to it.
  virtual void leave(const GuestId& /*guest*/) {}

  // The QEMU that runs the guest now; nothing where that is not known.
  virtual std::optional<acquire::ProcessKey> process_of(const GuestId& guest) = 0;
  // What its owner wants after a crash (AfterCrash::as_domain), as far as it is known without
  // waiting: never as_domain. Of an armed guest what it was before it was armed; the guest's record
  // is the service's, and comes first.
  virtual std::optional<config::AfterCrash> wanted_after_crash(const GuestId& guest) = 0;
  // What the guest's own definition asks for (config::as_asked()), as far as it is known.
  virtual std::vector<config::Setting> asked_policy(const GuestId& /*guest*/) { return {}; }
};

}  // namespace vmcore::daemon
