// SPDX-License-Identifier: GPL-2.0-or-later
// The flash report of a crash: a report that takes little time and room, and is made before a dump
// (docs/store.md).
//
// A confined worker makes it of the guest's memory as it is. Where that comes to nothing, because
// the worker dies, does not end, or finds no kernel, there are the registers and the end of the
// console's log file.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/method.h"
#include "src/acquire/selection.h"
#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/report/triage.h"

namespace vmcore::job {

struct FlashReading {
  GuestIdentity identity = {};   // empty where the guest was not reached
  std::string consistency = {};  // "stopped" or "torn"; empty where its memory was not read
  std::optional<report::TriageReport> report = {};
  std::string log = {};              // of the kernel; untrusted, and so is the console
  std::string console = {};          // its end, where there is no report of memory
  std::string registers = {};        // as text, where there is no report of memory
  std::vector<Remark> remarks = {};  // what is missing, and why
  // The guest as it was opened, for GuestDumpOptions; null where it does not stand still.
  std::shared_ptr<acquire::OpenedGuest> opened = {};
};

// Within some seconds, whatever the guest's memory holds. The guest is not paused. `stops`: it
// panicked, and is being stopped if it still runs: that is waited for, some time. Only an
// interruption is an Error (Errc::cancelled): `cancel` became readable.
Result<FlashReading> read_flash(const acquire::Selection& guest, unsigned threads, bool stops,
                                int cancel);

// The report that a kernel log (or a console) in the file alone gives, with a deadline. `log` is
// borrowed, and read from its position on.
Result<report::TriageReport> report_of_log(int log, int cancel);

}  // namespace vmcore::job
