// SPDX-License-Identifier: GPL-2.0-or-later
// The monitor of the selected guest: a connection of our own, or the one that was lent to us.
//
// QEMU's monitor serves one client. A service that holds it lends it to the process of a job:
// both have the descriptor, and one of them uses it at a time (qmp::Client::settle()).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "qmp/client.h"
#include "src/acquire/crash/panic_events.h"
#include "src/acquire/selection.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Keeps at least the events of these names. A lent monitor is shared by all that open it; only one
// of them may use it at a time.
Result<std::shared_ptr<qmp::Client>> open_monitor(const Selection& selection,
                                                  std::vector<std::string> events);

// For Selection::monitor: takes over a monitor that the process that started us has settled. It
// keeps all events that open_monitor() can be asked for, and records kGuestEvents for the lender.
std::shared_ptr<qmp::Client> borrow_monitor(Fd socket);

// Gives it back to the lender: it is not used any more.
struct ReturnedMonitor {
  std::vector<GuestEvent> events;  // since it was borrowed, without name and UUID
  bool usable = false;             // else the lender has to connect again
};
ReturnedMonitor return_monitor(qmp::Client& monitor);

}  // namespace vmcore::acquire
