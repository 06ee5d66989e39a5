// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/loan.h"

#include <filesystem>
#include <span>
#include <system_error>
#include <vector>

#include "src/base/sys.h"

namespace vmcore::cli {

Result<std::optional<Loan>> Loan::take(const std::string& control_socket,
                                       const std::string& qmp_socket) {
  std::error_code error;
  const auto path = std::filesystem::weakly_canonical(qmp_socket, error);
  auto loan = control::borrow(control_socket, path);
  if (!loan && loan.error().code == Errc::busy) {
    return in_context(std::move(loan).error(), "vmcored holds the guest's monitor");
  }
  if (!loan) {
    return std::nullopt;
  }
  TRY_ASSIGN(job::LentMonitor monitor, job::LentMonitor::take(loan->monitor.release()));
  return Loan(std::move(monitor), std::move(loan->kept), std::move(loan->connection));
}

void Loan::give_back() {
  if (!connection_) {
    return;
  }
  std::vector<report::JobEvent> events;
  const bool usable = monitor_.give_back(events);
  events.emplace_back(report::JobMemoryRead{.monitor = usable});
  for (const report::JobEvent& event : events) {
    const std::string line = report::to_line(event);
    static_cast<void>(sys::write_full(connection_.get(), std::as_bytes(std::span(line))));
  }
  kept_.clear();
  connection_.reset();
}

void add_socket_option(CLI::App& command, std::string& socket) {
  command.add_option("--socket", socket, "The control socket of vmcored")->capture_default_str();
}

}  // namespace vmcore::cli
