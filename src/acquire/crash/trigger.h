// SPDX-License-Identifier: GPL-2.0-or-later
// Crashing a guest on purpose, so that its own capture kernel saves it. Nothing else here harms a
// guest, and no other way of dumping a guest uses this.
#pragma once

#include <cstdint>

#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::acquire {

enum class CrashBy : std::uint8_t {
  nmi,    // an NMI to its CPUs; the guest crashes where kernel.unknown_nmi_panic=1 (or
          // panic_on_unrecovered_nmi)
  sysrq,  // Alt+SysRq+C on its keyboard, where kernel.sysrq allows that
  agent,  // QEMU's guest agent writes to /proc/sysrq-trigger; libvirt's domains only. libvirt marks
          // the domain as tainted for it: Errc::invalid without `allow_taint`
};

// Returns when the guest was told to crash; callers observe elsewhere whether it does.
Result<> crash_guest(const Selection& selection, CrashBy by);

}  // namespace vmcore::acquire
