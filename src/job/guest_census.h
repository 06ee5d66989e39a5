// SPDX-License-Identifier: GPL-2.0-or-later
// What a dump of a guest would hold, without a dump: its struct pages are read where they lie,
// while it runs on.
#pragma once

#include "src/acquire/guest.h"
#include "src/base/result.h"
#include "src/report/summary.h"

namespace vmcore::job {

// Of level 31. Errc::unsupported where its memory cannot be read in place.
Result<report::Summary> take_census(acquire::Guest& guest, bool running, unsigned threads);

}  // namespace vmcore::job
