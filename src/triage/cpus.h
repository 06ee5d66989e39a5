// SPDX-License-Identifier: GPL-2.0-or-later
// What each CPU did: its task, its registers, its stack.
#pragma once

#include <optional>
#include <vector>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"
#include "src/triage/stacks.h"

namespace vmcore::triage {

struct CpuFinding {
  report::TriageCpu cpu;
  std::optional<kernel::Task> task;
  kernel::Backtrace trace;  // empty where there is no stack
};

// Each CPU that Linux has, by Linux's numbers, and has brought up or a vCPU of the image runs. If
// the vCPUs cannot be told apart, they have the order of the image, with a remark. `live`: the
// registers are those that QEMU's monitor told. Errc::not_found if the kernel does not tell its
// CPUs.
Result<std::vector<CpuFinding>> find_cpus(Knowledge& knowledge, StackTable& stacks, bool live,
                                          std::vector<Remark>& remarks);

report::TaskName name_of(const kernel::Task& task);

}  // namespace vmcore::triage
