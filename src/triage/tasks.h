// SPDX-License-Identifier: GPL-2.0-or-later
// All tasks with their states and stacks, and what waits.
#pragma once

#include <string_view>
#include <vector>

#include "src/report/triage.h"
#include "src/triage/cpus.h"
#include "src/triage/knowledge.h"
#include "src/triage/stacks.h"

namespace vmcore::triage {

// As crash's ps shows it: "RU", "IN", "UN", "ID", "ST", "TR", "ZO", "DE", "PA", "WA", "NE"; "??"
// for others.
std::string_view state_name(std::uint64_t state, std::uint64_t exit_state);

struct TaskFindings {
  report::Known<report::TriageTasks> section;
  std::vector<kernel::Task> tasks;  // that were read
};

// Stacks of tasks that run are those of `cpus`. Of more tasks than a report lists, those that run
// or wait uninterruptibly come first.
TaskFindings find_tasks(Knowledge& knowledge, StackTable& stacks,
                        const std::vector<CpuFinding>& cpus, std::vector<Remark>& remarks);

}  // namespace vmcore::triage
