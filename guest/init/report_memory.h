// SPDX-License-Identifier: GPL-2.0-or-later
// How much memory a capture kernel did not use.
#pragma once

#include "guest/save/say.h"

namespace vmcore::guest::init {

// Reports how much memory was free when the largest child of this process ran: crashkernel= could
// be smaller by that much. All children must have ended.
void report_memory(const save::Say& say);

}  // namespace vmcore::guest::init
