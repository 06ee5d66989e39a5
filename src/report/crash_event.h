// SPDX-License-Identifier: GPL-2.0-or-later
// CrashEvent: what told a service that a guest crashed, as event.json of a stored crash
// (docs/schema/event.json) has it, and `vmcorectl dump --event FILE` takes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::report {

struct CrashEvent {
  static constexpr std::string_view kSchema = "vmcorectl-event/1";

  std::string kind = {};      // "panicked", "watchdog" ...: acquire::kind_name()
  std::uint64_t time_us = 0;  // since the epoch
  std::string guest = {};     // its name; empty: none
  std::string uuid = {};
  // It did not happen just now: the guest was found like this.
  bool found = false;
  std::string details = {};  // in the words of QEMU or libvirt: untrusted
  bool operator==(const CrashEvent&) const = default;
};

// What such an event is the reason of, as a manifest has it: "panic", "hang", else the kind.
std::string reason_of(const CrashEvent& event);

// QEMU has stopped the guest, or is about to: what it is asked next may be answered before that.
bool stops_guest(const CrashEvent& event);

std::string to_json(const CrashEvent& event);
// Errc::malformed where the text is no such document.
Result<CrashEvent> event_from_json(std::string_view text);

}  // namespace vmcore::report
