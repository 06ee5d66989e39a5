// How a libvirt domain stands, in words.
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

// Of virDomainGetState(). The reason is told where it matters to whoever reads it, and to tell
// whether the guest is as it was found.
std::string name_of_state(int state, int reason);

}  // namespace vmcore::acquire
