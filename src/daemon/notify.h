// SPDX-License-Identifier: GPL-2.0-or-later
// What the service tells systemd (sd_notify(3)). Does nothing if systemd did not start it.
#pragma once

#include "src/daemon/loop.h"

namespace vmcore::daemon {

void notify_ready();
void notify_reloading();
void notify_stopping();
// Says twice in each period of the unit's watchdog that the loop runs.
void feed_watchdog(Loop& loop);

}  // namespace vmcore::daemon
