// SPDX-License-Identifier: GPL-2.0-or-later
// The memory and registers of the stack of the CPU that panicked.
#pragma once

#include <optional>

#include "src/report/panic_stack.h"
#include "src/triage/knowledge.h"
#include "src/triage/panic.h"

namespace vmcore::triage {

// Nothing where the panic is not on the stack of that CPU.
std::optional<report::PanicStack> panic_stack(const Knowledge& knowledge,
                                              const PanicFinding& panic);

}  // namespace vmcore::triage
