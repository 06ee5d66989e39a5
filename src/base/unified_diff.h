// How two texts differ, as `diff -u` shows it.
#pragma once

#include <string>
#include <string_view>

namespace vmcore {

// With `name` in its header; empty where they do not differ. For texts of some thousand lines; the
// part that differs is shown as replaced where it is longer.
std::string unified_diff(std::string_view name, std::string_view before, std::string_view after);

}  // namespace vmcore
