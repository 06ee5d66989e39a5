// SPDX-License-Identifier: GPL-2.0-or-later
// The report of a kernel log alone: the crash that it tells of, and nothing of memory.
#pragma once

#include <string>

#include "src/report/triage.h"
#include "src/triage/log_text.h"

namespace vmcore::triage {

// What the log tells of the crash. The message is the first line of the report that caused the
// panic, which says more than panic() does ("Fatal exception"); panic()'s own where it stands in
// that line.
report::TriagePanic panic_of(const LogCrash& crash);

// `incomplete` where the crash's own lines are cut, or the log tells of no crash. `why`: why the
// sections are missing that only memory fills.
report::TriageReport report_of_log(const LogText& log,
                                   const std::string& why = "a kernel log does not tell");

}  // namespace vmcore::triage
