// SPDX-License-Identifier: GPL-2.0-or-later
// The function in which an exception occurred, with the registers that the exception saved.
#pragma once

#include <optional>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// The innermost frame that an exception interrupted (asm_exc_*), if all of its registers were
// saved. `stack` is `trace` with names.
std::optional<report::FaultingFunction> find_fault(Knowledge& knowledge,
                                                   const kernel::Backtrace& trace,
                                                   const report::TriageStack& stack);

}  // namespace vmcore::triage
