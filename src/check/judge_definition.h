// SPDX-License-Identifier: GPL-2.0-or-later
// What a guest is defined with: each by itself, for one that is not active as well. A remedy names
// how the definition is changed, or whose it is.
#pragma once

#include "src/base/finding.h"
#include "src/check/guest_facts.h"

namespace vmcore::check {

Finding judge_encryption(const GuestFacts& facts);
Finding judge_panic_device(const GuestFacts& facts);
Finding judge_on_crash(const GuestFacts& facts);
Finding judge_vmcoreinfo(const GuestFacts& facts);
Finding judge_channel(const GuestFacts& facts);

}  // namespace vmcore::check
