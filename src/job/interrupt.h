// SPDX-License-Identifier: GPL-2.0-or-later
// Interrupt: SIGINT, SIGTERM and SIGHUP as a descriptor that becomes readable.
#pragma once

#include <atomic>

#include "src/base/fd.h"

namespace vmcore::job {

// For the process of one job: signals are a process's, so one Interrupt exists at a time. A process
// that runs jobs of several guests starts a process for each, and has its own way to handle
// signals.
//
// Until arm() there is nothing to undo, and a signal ends the process at once with `exit_code`;
// after arm() it only makes fd() readable, however often it arrives. When the object ends, signals
// are ignored: what is left is to report the result.
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
  int fd() const { return event_.get(); }
  // Makes fd() wait for another signal.
  void rearm();

 private:
  static void on_signal(int);
  static void on_alarm(int);

  // Read by the signal handlers.
  Fd event_;
  int exit_code_;
  std::atomic<bool> armed_{false};
  std::atomic<unsigned> grace_{0};  // seconds; zero: for ever
};

}  // namespace vmcore::job
