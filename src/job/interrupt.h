// Interrupt: SIGINT, SIGTERM and SIGHUP as a descriptor that becomes readable.
#pragma once

namespace vmcore::job {

// One a process. Until arm() there is nothing to undo, and a signal ends the process at once with
// `exit_code`; from then on it only makes fd() readable, however often it comes.
class Interrupt {
 public:
  explicit Interrupt(int exit_code);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  void arm();
  // As arm(); but a signal after which this object still lives when `grace` (seconds) is over ends
  // the process at once with `exit_code`, whatever it waits for. For jobs that may be killed at any
  // time.
  void arm_for(unsigned grace);
  int fd() const;
  // Makes fd() wait for another signal.
  void rearm();
};

}  // namespace vmcore::job
