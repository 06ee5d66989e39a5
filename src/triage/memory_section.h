// SPDX-License-Identifier: GPL-2.0-or-later
// What memory is used for, by the kernel's own counters: zones, the machine, slabs, tasks.
#pragma once

#include <vector>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// A part that cannot be read is left out.
report::Known<report::TriageMemory> memory_section(Knowledge& knowledge,
                                                   const std::vector<kernel::Task>& tasks);

}  // namespace vmcore::triage
