// Small files of our own that say what was done: replaced as a whole, mode 0600.
#pragma once

#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::root {

// What lasts until the next boot, and what lasts longer.
inline constexpr std::string_view kRunFolder = "/run/vmcore-guest";
inline constexpr std::string_view kStateFolder = "/var/lib/vmcore-guest";

// Makes the folder where it is missing; the one above must exist.
Result<> make_state_folder(const Root& root, std::string_view folder);
// Makes the folder of `path` as well.
Result<> write_state(const Root& root, std::string_view path, std::string_view text,
                     unsigned mode = 0600);
// Nothing happens where it is not there.
void remove_state(const Root& root, std::string_view path);

}  // namespace vmcore::guest::root
