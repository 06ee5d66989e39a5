// SPDX-License-Identifier: GPL-2.0-or-later
// What is made of what was found out about a guest: pure, without asking anybody.
#pragma once

#include "src/check/guest_facts.h"
#include "src/report/check.h"

namespace vmcore::check {

// Of one that is not active only what its definition tells.
report::CheckReport judge_guest(const GuestFacts& facts);

}  // namespace vmcore::check
