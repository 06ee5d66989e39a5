// SPDX-License-Identifier: GPL-2.0-or-later
// What memory is used for as the report of `memory`.
#pragma once

#include "src/convert/memory_use.h"
#include "src/image/image.h"
#include "src/report/memory.h"

namespace vmcore::worker {

// `torn`: the guest ran meanwhile.
report::MemoryReport memory_report(const MemoryImage& image, const convert::MemoryUse& use,
                                   bool torn);

}  // namespace vmcore::worker
