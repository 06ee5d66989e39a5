// SPDX-License-Identifier: GPL-2.0-or-later
// The use of a guest's memory, as text for people.
#pragma once

#include <cstdint>
#include <string>

#include "src/report/memory.h"

namespace vmcore::show {

// A table: a row for each class.
std::string memory_text(const report::MemoryReport& report);

// "12.3%"; of nothing that is 0.
std::string percent(std::uint64_t part, std::uint64_t whole);

}  // namespace vmcore::show
