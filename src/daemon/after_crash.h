// SPDX-License-Identifier: GPL-2.0-or-later
// The words for policies after a crash.
#pragma once

#include <optional>
#include <string_view>

#include "qmp/run_actions.h"
#include "src/config/config.h"

namespace vmcore::daemon {

// The policy that equals libvirt's on_crash, QEMU's panic action or our after-crash. Nothing for an
// unknown word, and for "as-domain".
std::optional<config::AfterCrash> after_crash_of(std::string_view action);
// What QEMU would have done with a guest that panicked.
config::AfterCrash after_panic(const qmp::RunActions& actions);
// And with one that stopped in the reset trap.
config::AfterCrash after_trap(qmp::Course course);

}  // namespace vmcore::daemon
