// SPDX-License-Identifier: GPL-2.0-or-later
// Files that contain one word, as most in /sys and /proc/sys do.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "guest/root/root.h"

namespace vmcore::guest::root {

// The content of the first of these files that exists, without white space around it.
std::optional<std::string> read_word(const Root& root,
                                     std::initializer_list<std::string_view> paths);

}  // namespace vmcore::guest::root
