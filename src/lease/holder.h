// SPDX-License-Identifier: GPL-2.0-or-later
// Holder: a running vmcore-holder (hold.h), which holds one lease. What it passes on comes through
// a second pipe, the relay, whose reader holds nothing.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/base/process.h"
#include "src/base/result.h"
#include "src/lease/terms.h"

namespace vmcore::lease {

struct Terms {
  pid_t worker = 0;  // who reads the relay; 0: this process
  std::optional<std::chrono::steady_clock::time_point> until = {};  // the limit of the pause
  bool guarded = false;                                             // terms.h
  bool whole = false;
};

// Move-only. The destructor drops the lease.
class Holder {
 public:
  // Starts the program, and waits until it is ready. Call before the guest is paused.
  static Result<Holder> start(const Terms& terms);
  Holder(Holder&&) = default;
  Holder& operator=(Holder&&) = default;
  ~Holder();

  // For whoever writes; nobody but the holder has the other end. Close it when QEMU has it.
  Fd take_writing_end() { return std::move(writing_end_); }
  // What is passed on. Its end of file is that of the lease, however that ended.
  Fd take_relay() { return std::move(relay_); }

  // Becomes readable when the lease has ended; -1 when that is known.
  int fd() const { return ending_ ? -1 : control_.get(); }
  // How it has ended, if it has. Does not wait.
  std::optional<Ending> ending();
  // As far as ending() and drop() found out.
  std::optional<Ending> known_ending() const { return ending_; }
  // Drops the lease, if it has not ended yet; returns how it ended. A holder that does not answer
  // within a second is killed, which ends the lease as well.
  Ending drop();
  // Of drop(): an Error if what was read does not count, because the guest may have run meanwhile.
  Result<> verdict();

  pid_t pid() const { return process_.pid(); }

 private:
  Holder(Process process, Fd control, Fd writing_end, Fd relay, bool whole)
      : process_(std::move(process)),
        control_(std::move(control)),
        writing_end_(std::move(writing_end)),
        relay_(std::move(relay)),
        whole_(whole) {}
  std::optional<char> hear(std::chrono::milliseconds patience) const;

  Process process_;
  Fd control_;
  Fd writing_end_;
  Fd relay_;
  bool whole_;
  std::optional<Ending> ending_;
};

// Why what was read does not count; nothing for an ending after which it does.
std::optional<Error> objection_to(Ending ending, bool whole = false);

}  // namespace vmcore::lease
