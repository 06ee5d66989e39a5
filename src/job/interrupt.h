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
  int fd() const;
  // Makes fd() wait for another signal.
  void rearm();
};

}  // namespace vmcore::job
