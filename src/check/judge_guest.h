// SPDX-License-Identifier: GPL-2.0-or-later
// Judges the facts about a guest. Pure: it asks neither libvirt nor QEMU.
#pragma once

#include "src/check/guest_facts.h"
#include "src/report/check.h"

namespace vmcore::check {

// A guest that is not active is judged by its definition alone.
report::CheckReport judge_guest(const GuestFacts& facts);

}  // namespace vmcore::check
