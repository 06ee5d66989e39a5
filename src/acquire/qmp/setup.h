// SPDX-License-Identifier: GPL-2.0-or-later
// How a guest is set up, by its QEMU's own monitor.
#pragma once

#include "qmp/client.h"
#include "src/acquire/setup.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// How memory is encrypted ("sev-guest"); empty where it is not.
Result<std::string> ask_encryption(qmp::Client& monitor);

// Of what architecture the guest is ("x86_64"), and what its CPUs run.
Result<> ask_kind(qmp::Client& monitor, GuestSetup& setup);

// Queries only.
Result<GuestSetup> ask_setup(qmp::Client& monitor);

// Holds the monitor for as long as it takes.
Result<GuestSetup> setup_of_monitor(const Selection& selection);

}  // namespace vmcore::acquire
