// SPDX-License-Identifier: GPL-2.0-or-later
// The state of a libvirt domain, in words.
#pragma once

#include <cstdint>
#include <string>

namespace vmcore::acquire {

// Whether the guest has crashed, by virDomainGetState().
enum class CrashWord : std::uint8_t {
  no,
  yes,
  // It runs "after a crash": in its panic (on_crash preserve-running, libvirt 12.6), or because it
  // was booted since (coredump-restart). Its memory tells which.
  maybe,
};
CrashWord crash_word(int state, int reason);

// From virDomainGetState(). The reason is included if it matters to the reader, or to decide
// whether the guest is as it was found.
std::string name_of_state(int state, int reason);

}  // namespace vmcore::acquire
