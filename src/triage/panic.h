// SPDX-License-Identifier: GPL-2.0-or-later
// What the kernel died of: message, class, CPU, task, the function that faulted.
#pragma once

#include <vector>

#include "src/report/triage.h"
#include "src/triage/cpus.h"
#include "src/triage/knowledge.h"
#include "src/triage/log_tail.h"
#include "src/triage/stacks.h"

namespace vmcore::triage {

struct PanicFinding {
  report::Known<report::TriagePanic> section;
  const CpuFinding* cpu = nullptr;  // that panicked, of those given
};

PanicFinding find_panic(Knowledge& knowledge, const std::vector<CpuFinding>& cpus,
                        const StackTable& stacks, const LogTail& log);

// Where the kernel is not known: by the log alone.
report::Known<report::TriagePanic> panic_by_log(const LogTail& log);

}  // namespace vmcore::triage
