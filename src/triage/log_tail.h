// SPDX-License-Identifier: GPL-2.0-or-later
// The end of the kernel log, and the crash that it tells of.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/kernel/guest_kernel.h"
#include "src/report/triage.h"
#include "src/triage/log_text.h"

namespace vmcore::triage {

struct LogTail {
  report::Known<std::vector<std::string>> lines;  // the last ones, as dmesg prints them
  std::optional<LogCrash> crash;                  // the last one that the log tells of
  double last_seconds = 0;                        // the time of the last record since boot
};

LogTail read_log_tail(const kernel::GuestKernel& kernel, std::vector<Remark>& remarks);

}  // namespace vmcore::triage
