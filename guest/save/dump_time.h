// SPDX-License-Identifier: GPL-2.0-or-later
// Names of the folders of dumps: the time of the crash in UTC, as "2026-11-21-185133". They sort by
// time and are valid in every file system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vmcore::guest::save {

// `seconds` since the epoch.
std::string dump_time(std::int64_t seconds);

// Whether `name` begins with such a time. The second crash within a second gets the suffix ".1".
bool is_dump_time(std::string_view name);

}  // namespace vmcore::guest::save
