// SPDX-License-Identifier: GPL-2.0-or-later
// What a dump of a guest would hold, without a dump: its struct pages are read where they lie,
// while it runs on.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "src/acquire/guest.h"
#include "src/base/result.h"
#include "src/report/summary.h"

namespace vmcore::job {

// Errc::unsupported where its memory cannot be read in place.
Result<report::Summary> take_census(acquire::Guest& guest, bool running, unsigned threads,
                                    unsigned level = 31);

// All of a dump at level 31 of a guest that runs that comes before the guest would stand still: how
// long that would take. Nothing where it could not be measured. `memory`: bytes for the copy
// (Budget::memory).
std::optional<std::chrono::microseconds> rehearse_pause(acquire::Guest& guest, std::uint64_t memory,
                                                        unsigned threads);

}  // namespace vmcore::job
