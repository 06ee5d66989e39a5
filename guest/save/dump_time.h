// The names of what a crash left: the time of it, UTC, as "2026-11-21-185133". They sort by time
// and suit every file system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace vmcore::guest::save {

// `seconds` since the epoch.
std::string dump_time(std::int64_t seconds);

// Whether `name` begins with one: ".1" follows for the second crash of a second.
bool is_dump_time(std::string_view name);

}  // namespace vmcore::guest::save
