// SPDX-License-Identifier: GPL-2.0-or-later
// What a sleeping task has on its stack besides frames: the waiters of what it waits for.
#pragma once

#include <vector>

#include "src/triage/knowledge.h"

namespace vmcore::triage {

// Where between its stack pointer and the end of its stack the address of the task itself stands,
// the innermost place first. A waiter names the task that waits.
std::vector<VirtAddr> mentions_of(const Knowledge& knowledge, const kernel::Task& task);

}  // namespace vmcore::triage
