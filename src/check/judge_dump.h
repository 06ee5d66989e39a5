// SPDX-License-Identifier: GPL-2.0-or-later
// Whether, how and at what price a guest would be dumped: each by itself.
#pragma once

#include <vector>

#include "src/base/finding.h"
#include "src/check/guest_facts.h"

namespace vmcore::check {

Finding judge_state(const GuestFacts& facts);
Finding judge_idle(const GuestFacts& facts);
std::vector<Finding> judge_ways(const GuestFacts& facts);
Finding judge_kernel(const GuestFacts& facts);
Finding judge_capture_kernel(const GuestFacts& facts);
Finding judge_pause(const GuestFacts& facts);
Finding judge_room(const GuestFacts& facts);
Finding judge_memory(const GuestFacts& facts);
Finding judge_leftovers(const GuestFacts& facts);

}  // namespace vmcore::check
