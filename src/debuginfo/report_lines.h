// SPDX-License-Identifier: GPL-2.0-or-later
// The stacks of a report with what debug information says of them.
#pragma once

#include "src/report/debuginfo.h"
#include "src/report/panic_stack.h"
#include "src/report/triage.h"

namespace vmcore::debuginfo {

// Gives the frames of all stacks their lines, the code that faulted its arguments as far as its
// registers tell them and, where `stack` is there, the frames of that stack their arguments. The
// files are opened here and parsed in confined processes, one for each file. What cannot be had is
// a Remark of the report.
void add_lines(report::TriageReport& report, const report::PanicStack& stack,
               const report::DebuginfoReport& found);

}  // namespace vmcore::debuginfo
