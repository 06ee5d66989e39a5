// What is made of what was found out about a guest: pure, without asking anybody.
#pragma once

#include "src/check/finding.h"
#include "src/check/guest_facts.h"

namespace vmcore::check {

// Of one that is not active only what its definition tells.
CheckReport judge_guest(const GuestFacts& facts);

}  // namespace vmcore::check
