// SPDX-License-Identifier: GPL-2.0-or-later
// The end of the kernel log, and the message of the panic in it.
#pragma once

#include <string>
#include <vector>

#include "src/kernel/guest_kernel.h"
#include "src/report/triage.h"

namespace vmcore::triage {

struct LogTail {
  report::Known<std::vector<std::string>> lines;  // the last ones, as dmesg prints them
  std::string panic;        // what panic() was told; empty where the log has no panic
  double last_seconds = 0;  // the time of the last record since boot
};

LogTail read_log_tail(const kernel::GuestKernel& kernel, std::vector<Remark>& remarks);

}  // namespace vmcore::triage
