// SPDX-License-Identifier: GPL-2.0-or-later
// ControlDesk: answers what commands ask over the control socket (src/control).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "src/control/server.h"
#include "src/daemon/armed.h"
#include "src/daemon/guest_record.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/loop.h"
#include "src/daemon/qmp_folder.h"

namespace vmcore::daemon {

class ControlDesk {
 public:
  struct Hands {
    // All guests that the service knows, running or not.
    std::function<std::vector<GuestId>()> guests;
    // The word of the guest's state: phase_name().
    std::function<std::string(const GuestId&)> state;
    std::function<const GuestRecord&(const GuestId&)> record;
    // The folder whose monitor has that socket; null: none.
    std::function<QmpFolder*(const std::string& socket)> folder;
  };

  ControlDesk(Loop& loop, control::Server server, Armed& armed, Hands hands);
  ControlDesk(const ControlDesk&) = delete;
  ControlDesk& operator=(const ControlDesk&) = delete;
  ~ControlDesk();

 private:
  // An answer that is complete when all of its guests are.
  struct Pending {
    std::uint64_t client = 0;
    control::Answer answer = {};
    std::size_t open = 0;
  };
  // A monitor that a command has.
  struct Loan {
    Fd connection;
    std::string text = {};
    bool usable = false;
  };

  void step();
  void serve(const control::Asked& asked);
  std::vector<GuestId> chosen(const control::Request& request, control::Answer& answer) const;
  // Those that have ended, unless all have.
  void leave_out_the_gone(std::vector<GuestId>& guests) const;
  control::GuestStatus status_of(const GuestId& guest) const;
  void change(const control::Asked& asked);
  void change(const control::Request& request, const GuestId& guest, Armed::Done done);
  void lend(const control::Asked& asked);
  void read_loan(const std::string& socket);
  void end_loan(const std::string& socket);

  Loop& loop_;
  control::Server server_;
  Armed& armed_;
  Hands hands_;
  std::map<std::string, Loan> loans_;  // by socket
};

}  // namespace vmcore::daemon
