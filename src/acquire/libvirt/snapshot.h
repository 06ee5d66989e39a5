// SPDX-License-Identifier: GPL-2.0-or-later
// A snapshot of a running libvirt domain (snapshot.h), by commands that libvirt passes to QEMU's
// monitor. libvirt marks the domain as tainted for them ("custom-monitor", until it is shut down),
// so this is done only on request.
#pragma once

#include <memory>

#include "src/acquire/guest.h"
#include "src/acquire/method.h"

namespace vmcore::acquire {

// Errc::invalid where the selection does not allow the taint. Errc::unsupported with a libvirt
// older than 8.2, which passes no descriptors.
Result<std::unique_ptr<Guest>> open_libvirt_snapshot(const Selection& selection);

}  // namespace vmcore::acquire
