// SPDX-License-Identifier: GPL-2.0-or-later
// Which guest a monitor's QEMU runs, and which QEMU that is.
#pragma once

#include <string>

#include "src/acquire/qmp/monitor_map.h"
#include "src/image/capture.h"

namespace vmcore::acquire {

// "7.2.22"; empty where QEMU does not tell.
std::string ask_version(const Execute& execute);

// What QEMU tells; it knows no host.
GuestIdentity ask_identity(const Execute& execute);

}  // namespace vmcore::acquire
