// SPDX-License-Identifier: GPL-2.0-or-later
// The report of a kernel that died before it described itself (kernel/early_log.h).
#pragma once

#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/report/triage.h"

namespace vmcore::triage {

// What its log tells: the release, the crash and its stack, the last lines. The report is marked as
// incomplete. Reads all of memory. Errc::not_found if no log is in memory.
Result<report::TriageReport> early_report(const PhysicalMemory& memory);

}  // namespace vmcore::triage
