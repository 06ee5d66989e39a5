// SPDX-License-Identifier: GPL-2.0-or-later
// What the service says: one line each on standard error, with the priority in front where that is
// the journal (sd-daemon(3)).
#pragma once

#include <string_view>

namespace vmcore::daemon {

enum class Priority { error = 3, warning = 4, info = 6 };

// `about`: the guest; empty: the service. Both are made printable.
void say(Priority priority, std::string_view about, std::string_view text);

}  // namespace vmcore::daemon
