// SPDX-License-Identifier: GPL-2.0-or-later
// Interrupt: SIGINT, SIGTERM and SIGHUP as a descriptor that becomes readable.
#pragma once

namespace vmcore::job {

// One for each process. Until arm() there is nothing to undo, and a signal ends the process at once
// with `exit_code`; after arm() it only makes fd() readable, however often it arrives.
class Interrupt {
 public:
  explicit Interrupt(int exit_code);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  void arm();
  // Like arm(); but if this object still exists `grace` seconds after a signal, the process ends at
  // once with `exit_code`, whatever it waits for. For jobs that may be killed at any time.
  void arm_for(unsigned grace);
  int fd() const;
  // Makes fd() wait for another signal.
  void rearm();
};

}  // namespace vmcore::job
