// SPDX-License-Identifier: GPL-2.0-or-later
// The job that looks at the kernel of a guest in the reset trap: `vmcorectl look`.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "qmp/run_actions.h"
#include "src/acquire/crash/panic_events.h"
#include "src/base/result.h"
#include "src/daemon/job_process.h"
#include "src/job/kernel_end.h"

namespace vmcore::daemon {

// How long it may take.
inline constexpr std::chrono::seconds kLookLimit{10};

// `ahead`: while the guest runs. The job gets ready, gives the monitor back, and waits for its go.
JobCommand look_command(LentGuest guest, bool ahead);

struct TrapLook {
  Result<job::KernelEnding> ending = fail(Errc::io, "the look ended without a word");
  bool monitor_usable = false;
  bool over = false;      // its last line came, or it is not wanted any more
  bool prepared = false;  // it was ready before the guest stopped
  bool waits = false;     // for its go: the monitor is not its
  // What happened to the guest meanwhile, if it ran.
  std::vector<acquire::GuestEvent> events = {};
};
// What the guest was about to do, where its event is not known. Of a guest without a kernel: what
// stops it without the trap, too, which -no-shutdown does; else a reset, for a needless boot is
// better than a guest that stays down.
qmp::Wanted wanted_by_end(const Result<job::KernelEnding>& ending, const qmp::RunActions& before);

// Takes one line of the job.
void take_look_line(std::string_view line, TrapLook& look);

}  // namespace vmcore::daemon
