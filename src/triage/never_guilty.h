// SPDX-License-Identifier: GPL-2.0-or-later
// Functions that stand on the stacks of crashes and are never the reason of one.
#pragma once

#include <string_view>

namespace vmcore::triage {

// `function` without a compiler's suffixes.
bool is_never_guilty(std::string_view function);

// Whether `text` is what `pattern` says, in which "*" stands for any characters.
bool matches(std::string_view pattern, std::string_view text);

}  // namespace vmcore::triage
