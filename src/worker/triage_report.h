// SPDX-License-Identifier: GPL-2.0-or-later
// What happened to a guest, and what the file that tells it is like, as the report of `report`.
#pragma once

#include "src/convert/crashed_kernel.h"
#include "src/image/image.h"
#include "src/report/triage.h"

namespace vmcore::worker {

// `subject` is of `image`. `live`: the guest was not paused for it; `torn`: it ran meanwhile.
report::TriageReport triage_report(const MemoryImage& image, const convert::Subject& subject,
                                   bool live, bool torn);

}  // namespace vmcore::worker
