// SPDX-License-Identifier: GPL-2.0-or-later
// What happened to a guest, and what the file that tells it is like, as the report of `report`.
#pragma once

#include <string>

#include "src/convert/crashed_kernel.h"
#include "src/image/image.h"
#include "src/report/triage.h"
#include "src/triage/triage.h"

namespace vmcore::worker {

// `subject` is of `image`. `consistency`: "torn" or "pause" if the memory is that of a guest; empty
// if the image is a file, which may tell it.
report::TriageReport triage_report(const MemoryImage& image, const convert::Subject& subject,
                                   const triage::TriageOptions& options, std::string consistency);

}  // namespace vmcore::worker
