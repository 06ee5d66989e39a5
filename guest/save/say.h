// SPDX-License-Identifier: GPL-2.0-or-later
// Say: the receiver of progress messages, one line at a time without its newline: the console of a
// capture kernel, the terminal of `vmcore-guest save`.
#pragma once

#include <functional>
#include <string_view>

namespace vmcore::guest::save {

using Say = std::function<void(std::string_view line)>;

}  // namespace vmcore::guest::save
