// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/monitor.h"

#include <utility>

#include "qmp/connect.h"
#include "src/acquire/qmp/guest.h"

namespace vmcore::acquire {

Result<std::shared_ptr<qmp::Client>> open_monitor(const Selection& selection,
                                                  std::vector<std::string> events) {
  if (selection.monitor) {
    return selection.monitor;
  }
  TRY_ASSIGN(qmp::Client monitor, qmp::connect(selection.socket, {.events = std::move(events)}));
  return std::make_shared<qmp::Client>(std::move(monitor));
}

std::shared_ptr<qmp::Client> borrow_monitor(Fd socket) {
  std::vector<std::string> events = QmpGuest::events();
  events.insert(events.end(), kGuestEvents.begin(), kGuestEvents.end());
  return std::make_shared<qmp::Client>(
      qmp::Client::adopt(std::move(socket), {.events = events, .recorded = kGuestEvents}));
}

ReturnedMonitor return_monitor(qmp::Client& monitor) {
  constexpr qmp::Milliseconds kSettleTimeout{1'000};
  ReturnedMonitor returned{.events = {}, .usable = monitor.settle(kSettleTimeout).has_value()};
  for (const qmp::Event& event : monitor.take_recorded()) {
    if (auto known = read_event(event)) {
      returned.events.push_back(*std::move(known));
    }
  }
  return returned;
}

}  // namespace vmcore::acquire
