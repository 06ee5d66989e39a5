// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/daemon/after_crash.h"

#include <array>

namespace vmcore::daemon {
namespace {

using config::AfterCrash;

struct Word {
  std::string_view word;
  AfterCrash after;
};

// libvirt's virDomainLifecycleCrashAction; QEMU's PanicAction (qapi/run-state.json); ours.
constexpr std::array kWords{
    Word{"destroy", AfterCrash::destroy},
    Word{"restart", AfterCrash::restart},
    Word{"rename-restart", AfterCrash::restart},
    Word{"preserve", AfterCrash::preserve},
    Word{"coredump-destroy", AfterCrash::destroy},
    Word{"coredump-restart", AfterCrash::restart},
    Word{"preserve-running", AfterCrash::resume},
    Word{"pause", AfterCrash::preserve},
    Word{"shutdown", AfterCrash::destroy},
    Word{"exit-failure", AfterCrash::destroy},
    Word{"none", AfterCrash::resume},
    Word{"resume", AfterCrash::resume},
};

}  // namespace

std::optional<AfterCrash> after_crash_of(std::string_view action) {
  for (const Word& known : kWords) {
    if (known.word == action) {
      return known.after;
    }
  }
  return std::nullopt;
}

AfterCrash after_panic(const qmp::RunActions& actions) {
  const AfterCrash after = after_crash_of(actions.panic).value_or(AfterCrash::preserve);
  // With -no-shutdown a QEMU stays where it would end.
  return after == AfterCrash::destroy && actions.shutdown == "pause" ? AfterCrash::preserve : after;
}

AfterCrash after_trap(qmp::Course course) {
  switch (course) {
    case qmp::Course::reset:
      return AfterCrash::restart;
    case qmp::Course::quit:
      return AfterCrash::destroy;
    case qmp::Course::stay:
      return AfterCrash::preserve;
  }
  return AfterCrash::preserve;
}

}  // namespace vmcore::daemon
