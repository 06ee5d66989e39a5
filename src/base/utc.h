// SPDX-License-Identifier: GPL-2.0-or-later
// Times in UTC as text. Not for the capture image: strftime() makes a static program larger.
#pragma once

#include <cstdint>
#include <string>

namespace vmcore {

// For people: "2026-11-21 09:30:00 UTC". `seconds` since the epoch; empty if the year does not fit.
std::string utc_text(std::int64_t seconds);

// For names of files, which sort by time: "20261121T093000Z". Later times than the year 9999 are
// that year's last second.
std::string utc_stamp(std::int64_t seconds);

}  // namespace vmcore
