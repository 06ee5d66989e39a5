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

// libvirt's virDomainLifecycleCrashAction; QEMU's PanicAction (qapi/run-state.json).
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

}  // namespace vmcore::daemon
