// SPDX-License-Identifier: GPL-2.0-or-later
// The lines of what is printed for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace vmcore::cli {

// Appends the name, the value in the column behind it, and a newline. `value` may come from a
// guest.
void line(std::string& out, std::string_view name, std::string_view value, std::size_t column = 16);

}  // namespace vmcore::cli
