// SPDX-License-Identifier: GPL-2.0-or-later
// The beginning of a text that others chose, safe to show in a place with little room.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vmcore {

// The beginning of printable(): at most `most` bytes, cut between characters.
std::string printable_start(std::string_view text, std::size_t most);

}  // namespace vmcore
