// SPDX-License-Identifier: GPL-2.0-or-later
// Armed: which guests are armed. An armed guest that crashes stays as it is until its crash is
// kept. Its record remembers the action from before it was armed, and the service carries that
// action out. A definition on disk is never changed.
//
// In the loop's thread; libvirt is asked in the background.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/config/config.h"
#include "src/daemon/guest_record.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/loop.h"
#include "src/daemon/qmp_folder.h"

namespace vmcore::daemon {

class Armed {
 public:
  using Done = std::function<void(Result<>)>;
  // Of the service.
  struct Hands {
    // The record of a guest, which is made if there is none. The reference stays valid.
    std::function<GuestRecord&(const GuestId&)> record;
    // Calls back when the record is on disk, or cannot be written.
    std::function<void(const GuestRecord&, std::function<void(const Result<>&)>)> save;
    // The folder that has the guest; null: it is a domain of libvirt.
    std::function<QmpFolder*(const GuestId&)> folder;
    // Whether the configuration wants it armed when it is found.
    std::function<bool(const GuestId&)> wants_arming;
    std::function<void(const std::string& text, bool bad)> note;
    // A domain is armed now, or again.
    std::function<void(const GuestId&)> on_armed_domain = [](const GuestId&) {};
  };

  Armed(Loop& loop, Hands hands) : loop_(loop), hands_(std::move(hands)) {}
  Armed(const Armed&) = delete;
  Armed& operator=(const Armed&) = delete;

  // The record says "armed" before the guest is changed. If this process ends between the two, the
  // next start changes the guest.
  void arm(const GuestId& guest, bool trap_resets, Done done);
  void disarm(const GuestId& guest, Done done);
  // What is set of it: QEMU or libvirt may refuse what the record wants.
  struct State {
    bool armed = false;
    bool trap_resets = false;
    std::string missing = {};  // what is not set, and why
  };
  State state_of(const GuestId& guest) const;
  // A guest was found, or has started: a new QEMU of a domain has its definition's action. Guests
  // of a folder that are armed are armed again by the folder.
  void on_started(const GuestId& guest);

 private:
  void arm_monitor(QmpFolder& folder, const GuestId& guest, bool trap_resets, Done done);
  void arm_domain(const GuestId& guest, Done done);
  void set_domain(const GuestId& guest, Done done);
  // The record of the guest says of arming what `changed` says; `then` when that is on disk. As
  // before where it cannot be written.
  void remember(const GuestId& guest, const GuestRecord& changed, Done then);
  Done or_as_before(const GuestRecord& before, const GuestId& guest, Done done);
  void forget(const GuestId& guest, Done done);

  Loop& loop_;
  Hands hands_;
  std::map<std::string, std::string> refused_;  // domains that are not armed again, by key, and why
};

// Gives back what was taken of a guest, without the loop: vmcored has ended for good, or is
// removed. A guest that stands still, because it was armed, is carried on as its policy says, which
// leaves alone what that policy has preserved. The guest stays armed by its record, so that the
// next vmcored arms it again. A guest that does not run is no error.
Result<> give_back(const GuestRecord& record);

}  // namespace vmcore::daemon
