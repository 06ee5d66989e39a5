// SPDX-License-Identifier: GPL-2.0-or-later
// Prints the use of a guest's memory as text.
#pragma once

#include <cstdint>
#include <string>

#include "src/report/memory.h"

namespace vmcore::cli {

// The table.
std::string describe_memory(const report::MemoryReport& report);

// "12.3%"; of nothing that is 0.
std::string percent(std::uint64_t part, std::uint64_t whole);

}  // namespace vmcore::cli
