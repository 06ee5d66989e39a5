// SPDX-License-Identifier: GPL-2.0-or-later
// Small state files of vmcore-guest: replaced atomically, mode 0600.
#pragma once

#include <string_view>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::root {

// The folders of state that lasts until the next boot, and of state that lasts longer.
inline constexpr std::string_view kRunFolder = "/run/vmcore-guest";
inline constexpr std::string_view kStateFolder = "/var/lib/vmcore-guest";

// Creates the folder if it is missing; its parent must exist.
Result<> make_state_folder(const Root& root, std::string_view folder);
// Creates the folder of `path`, too.
Result<> write_state(const Root& root, std::string_view path, std::string_view text,
                     unsigned mode = 0600);
// Does nothing if the file does not exist.
void remove_state(const Root& root, std::string_view path);

}  // namespace vmcore::guest::root
