// SPDX-License-Identifier: GPL-2.0-or-later
// port: sends to the host over a virtio-serial port.
#include "guest/save/port.h"
#include "guest/save/target_stream.h"

namespace vmcore::guest::save {

Result<Saved> save_to_port(const std::string& where, const Crash& crash) {
  const std::string name = where.empty() ? std::string(config::kPortName) : where;
  TRY_ASSIGN(Fd port, open_port(name));
  TRY_ASSIGN(convert::Outcome outcome, send_to_host(Line(std::move(port), crash.heartbeat), crash));
  return Saved{"the host over port " + name, std::move(outcome)};
}

}  // namespace vmcore::guest::save
