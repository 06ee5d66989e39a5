// SPDX-License-Identifier: GPL-2.0-or-later
// The lines of what is printed for people.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vmcore::show {

// Appends the name, the value in the column behind it, and a newline. `value` may come from a
// guest.
void line(std::string& out, std::string_view name, std::string_view value, std::size_t column = 16);

// Rows of as many columns each. Columns are as wide as their longest text; the last one is as long
// as it is. Texts are shown as they are.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace vmcore::show
