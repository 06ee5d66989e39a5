// SPDX-License-Identifier: GPL-2.0-or-later
// The service: waits for crashes of a host's guests, and keeps them.
#pragma once

#include "src/config/config.h"

namespace vmcore::daemon {

// Runs until it is told to stop; returns the exit code.
int run_service(const config::Config& config);

}  // namespace vmcore::daemon
