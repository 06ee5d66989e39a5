// SPDX-License-Identifier: GPL-2.0-or-later
// How two texts differ, as `diff -u` shows it.
#pragma once

#include <string>
#include <string_view>

namespace vmcore {

// With `name` in its header; empty if the texts are equal. For texts of some thousand lines; a long
// differing part is shown as replaced.
std::string unified_diff(std::string_view name, std::string_view before, std::string_view after);

}  // namespace vmcore
