// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/lent_monitor.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "src/acquire/qmp/monitor.h"
#include "src/base/fd.h"

namespace vmcore::job {

Result<LentMonitor> LentMonitor::take(int fd) {
  int type = 0;
  socklen_t size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM ||
      ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
    return fail(Errc::invalid, "descriptor {} is not a connection to a monitor", fd);
  }
  return LentMonitor(acquire::borrow_monitor(Fd(fd)));
}

bool LentMonitor::give_back(std::vector<report::JobEvent>& events) {
  if (std::exchange(given_back_, true)) {
    return usable_;
  }
  acquire::ReturnedMonitor returned = acquire::return_monitor(*client_);
  for (acquire::GuestEvent& event : returned.events) {
    events.emplace_back(
        report::JobGuestEvent{.what = std::string(acquire::kind_name(event.kind)),
                              .time_us = static_cast<std::uint64_t>(event.time.count()),
                              .details = std::move(event.details)});
  }
  usable_ = returned.usable;
  return usable_;
}

// Others have the client still, and may close the descriptor: its number stays in use.
void LentMonitor::let_go() {
  const Fd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (nothing) {
    ::dup3(nothing.get(), client_->fd(), O_CLOEXEC);
  }
}

}  // namespace vmcore::job
