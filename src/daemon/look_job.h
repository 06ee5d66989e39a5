// SPDX-License-Identifier: GPL-2.0-or-later
// LookJob: `vmcorectl look` as a process: how the kernel of a guest in the reset trap came to its
// end.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/base/process.h"
#include "src/base/result.h"
#include "src/daemon/guest_source.h"
#include "src/daemon/loop.h"
#include "src/job/kernel_end.h"

namespace vmcore::daemon {

// How long it may take.
inline constexpr std::chrono::seconds kLookLimit{10};

class LookJob {
 public:
  struct Outcome {
    Result<job::KernelEnding> ending;
    bool monitor_usable = false;
  };

  // Calls `done` once, unless the object is destroyed before, which kills the process. It may be
  // destroyed in `done`.
  static Result<std::unique_ptr<LookJob>> start(Loop& loop, const std::string& program,
                                                const LentGuest& guest,
                                                std::function<void(Outcome)> done);
  LookJob(const LookJob&) = delete;
  LookJob& operator=(const LookJob&) = delete;
  ~LookJob();

 private:
  LookJob(Loop& loop, Process process, Fd report, std::function<void(Outcome)> done);
  void read();
  void finish();

  Loop& loop_;
  Process process_;
  Fd report_;
  std::function<void(Outcome)> done_;
  Loop::Timer limit_ = 0;
  std::string text_;
};

// What the lines of such a job say; for tests.
LookJob::Outcome outcome_of_look(std::string_view lines);

}  // namespace vmcore::daemon
