// SPDX-License-Identifier: GPL-2.0-or-later
// GuardianLine: the service's end of the line to the vmcore-guardian of a guest whose resets are
// trapped (src/guardian/guardian.h).
#pragma once

#include <filesystem>

#include "qmp/run_actions.h"
#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::daemon {

class GuardianLine {
 public:
  GuardianLine() = default;  // no guardian
  // Starts it, in a session of its own and as nobody's child: it outlives this process. The
  // monitor's descriptor is borrowed.
  static Result<GuardianLine> start(const std::filesystem::path& program, int monitor,
                                    const qmp::RunActions& before);
  GuardianLine(GuardianLine&&) = default;
  GuardianLine& operator=(GuardianLine&&) = default;
  ~GuardianLine() = default;

  explicit operator bool() const { return static_cast<bool>(fd_); }
  // For who uses the monitor: the guardian does nothing while it is open anywhere. It can be read
  // when the guardian has ended.
  int fd() const { return fd_.get(); }
  // One of the bytes of guardian.h.
  void say(char what);
  // The guardian is not needed any more, and closes the monitor.
  void end();

 private:
  explicit GuardianLine(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// Beside the running program, or in ../libexec/vmcorectl of it.
Result<std::filesystem::path> guardian_executable();

}  // namespace vmcore::daemon
