// SPDX-License-Identifier: GPL-2.0-or-later
// The client's end of the control socket.
#pragma once

#include <chrono>
#include <filesystem>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/control/control.h"

namespace vmcore::control {

// How long the service may take: it asks libvirt and QEMU, which may be busy.
inline constexpr std::chrono::milliseconds kAnswerTimeout{60'000};

// Asks the service, and waits for its answer. An Answer with `error` is that Error.
// Errc::not_found: no service listens there, with what to do; Errc::denied: this user may not ask.
Result<Answer> ask(const std::filesystem::path& socket, const Request& request,
                   std::chrono::milliseconds timeout = kAnswerTimeout);

// A monitor that the service has lent, settled. The connection takes what a job reports
// (docs/jobs.md); the monitor is given back when it is closed, at the latest.
struct Loan {
  Fd monitor;
  std::vector<Fd> kept = {};  // to be kept open as long as the monitor is used
  Fd connection;
};

// Asks for the monitor of the guest of that QMP socket, an absolute path. Errc::not_found if no
// service runs or it does not hold that monitor.
Result<Loan> borrow(const std::filesystem::path& socket, const std::filesystem::path& qmp_socket);

}  // namespace vmcore::control
