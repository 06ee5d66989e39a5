// SPDX-License-Identifier: GPL-2.0-or-later
// LentMonitor: the monitor of a guest that the service which started this process has lent to it
// (`--monitor-fd`). The service keeps its own descriptor of the same connection, and uses it again
// when the monitor was given back.
#pragma once

#include <memory>
#include <vector>

#include "src/acquire/selection.h"
#include "src/base/result.h"
#include "src/report/job_event.h"

namespace vmcore::job {

class LentMonitor {
 public:
  // Takes over the descriptor, which is closed on exec from now on. Errc::invalid if it is no
  // socket.
  static Result<LentMonitor> take(int fd);

  // For acquire::Selection. Nobody may use it while it is given back.
  const std::shared_ptr<qmp::Client>& client() const { return client_; }

  // The service has lent the monitor again, after it was given back.
  void take_again() { given_back_ = false; }

  // Leaves no message half read. Returns whether the service can use the connection as it is;
  // `events` gets what happened to the guest meanwhile. What a second call returns is the same, and
  // there are no events.
  bool give_back(std::vector<report::JobEvent>& events);
  // After give_back(), for good: the connection ends when the service lets it go, whether or not
  // this process lives, and QEMU can serve the next client.
  void let_go();

 private:
  explicit LentMonitor(std::shared_ptr<qmp::Client> client) : client_(std::move(client)) {}

  std::shared_ptr<qmp::Client> client_;
  bool given_back_ = false;
  bool usable_ = false;
};

}  // namespace vmcore::job
