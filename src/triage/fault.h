// SPDX-License-Identifier: GPL-2.0-or-later
// The function in which an exception occurred, with the registers that the exception saved.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "src/report/triage.h"
#include "src/triage/cpus.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// The struct pt_regs that is there.
Result<std::vector<report::NamedRegister>> saved_registers(const Knowledge& knowledge, VirtAddr at);

// The innermost frame that an exception interrupted (asm_exc_*), if all of its registers were
// saved. `stack` is the CPU's, with names. A kdump has no such frame, because crash_kexec() saves
// the registers of the fault as those of the CPU: there the stack begins in the function that
// faulted. `told` is that function by the log; empty if the log tells of none.
std::optional<report::FaultingFunction> find_fault(Knowledge& knowledge, const CpuFinding& cpu,
                                                   const report::TriageStack& stack,
                                                   std::string_view told);

}  // namespace vmcore::triage
