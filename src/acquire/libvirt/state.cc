// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/libvirt/state.h"

#include <libvirt/libvirt.h>

#include <array>

namespace vmcore::acquire {
namespace {

struct NamedState {
  int state;
  int reason;
  const char* name;
};

// Those in which a domain has memory.
constexpr std::array kStates{
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, "paused (user)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, "paused (migrating)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_SAVE, "paused (saving)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_DUMP, "paused (dumping)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, "paused (I/O error)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_WATCHDOG, "paused (watchdog)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_CRASHED, "paused (crashed)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, "paused (starting up)"},
    NamedState{VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY, "paused (postcopy migration)"},
    NamedState{VIR_DOMAIN_CRASHED, VIR_DOMAIN_CRASHED_PANICKED, "crashed (panicked)"},
};

}  // namespace

CrashWord crash_word(int state, int reason) {
  if (state == VIR_DOMAIN_RUNNING && reason == VIR_DOMAIN_RUNNING_CRASHED) {
    return CrashWord::maybe;
  }
  const bool crashed = state == VIR_DOMAIN_CRASHED ||
                       (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_CRASHED);
  return crashed ? CrashWord::yes : CrashWord::no;
}

std::string name_of_state(int state, int reason) {
  for (const NamedState& known : kStates) {
    if (known.state == state && known.reason == reason) {
      return known.name;
    }
  }
  switch (state) {
    case VIR_DOMAIN_RUNNING:  // whatever the reason: a dump's end changes it
      return "running";
    case VIR_DOMAIN_BLOCKED:
      return "blocked";
    case VIR_DOMAIN_PAUSED:
      return "paused";
    case VIR_DOMAIN_SHUTDOWN:
      return "in shutdown";
    case VIR_DOMAIN_SHUTOFF:
      return "shut off";
    case VIR_DOMAIN_CRASHED:
      return "crashed";
    case VIR_DOMAIN_PMSUSPENDED:
      return "suspended by the guest";
    default:
      return "no state";
  }
}

}  // namespace vmcore::acquire
