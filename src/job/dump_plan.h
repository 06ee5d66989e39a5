// SPDX-License-Identifier: GPL-2.0-or-later
// What a dump would come to, without a dump: `dump --dry-run`.
#pragma once

#include "src/acquire/guest.h"
#include "src/base/result.h"
#include "src/job/dump_job.h"

namespace vmcore::job {

// The guest is looked at while it runs, and neither paused nor touched; `report` gets the pause
// that is expected, and what the dump would be. The output is opened, and left as it was.
// Errc::unsupported where memory cannot be read in place: what would be kept is then known only in
// the pause.
Result<DumpResult> plan_dump(acquire::Guest& guest, const GuestDumpOptions& options,
                             GuestReport& report);

}  // namespace vmcore::job
