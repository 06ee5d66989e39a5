// SPDX-License-Identifier: GPL-2.0-or-later
// Loan: a command borrows a guest's monitor from the vmcored that holds it, and gives the monitor
// back when it has read the guest, or ends.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "src/base/result.h"
#include "src/cli/verb.h"
#include "src/control/ask.h"
#include "src/job/lent_monitor.h"

namespace vmcore::cli {

class Loan {
 public:
  // Nothing if no vmcored can be asked, or if it does not hold that monitor: the command then
  // connects itself. Errc::busy if the service has lent it to a job.
  static Result<std::optional<Loan>> take(const std::string& control_socket,
                                          const std::string& qmp_socket);
  Loan(Loan&&) = default;
  Loan& operator=(Loan&&) = delete;
  ~Loan() { give_back(); }

  // Tells the service what happened to the guest meanwhile. Nobody may use the monitor any more.
  void give_back();

  std::shared_ptr<qmp::Client> client() const { return monitor_.client(); }

 private:
  Loan(job::LentMonitor monitor, std::vector<Fd> kept, Fd connection)
      : monitor_(std::move(monitor)), kept_(std::move(kept)), connection_(std::move(connection)) {}

  job::LentMonitor monitor_;
  std::vector<Fd> kept_;
  Fd connection_;
};

// Adds --socket, of vmcored.
void add_socket_option(CLI::App& command, std::string& socket);

}  // namespace vmcore::cli
