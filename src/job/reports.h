// SPDX-License-Identifier: GPL-2.0-or-later
// Makes the report (src/report) of a finished job.
#pragma once

#include <string>

#include "src/job/convert_job.h"
#include "src/job/dump_job.h"
#include "src/job/receive_job.h"
#include "src/report/dump.h"
#include "src/report/receive.h"

namespace vmcore::job {

report::DumpFile dump_file(const DumpResult& result);

// `then`: the word of --then, empty for none.
report::DumpReport report_of(const GuestDumpResult& result, const std::string& then);
report::ReceiveReport report_of(const ReceiveResult& result);

}  // namespace vmcore::job
