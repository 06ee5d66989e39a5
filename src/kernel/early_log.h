// SPDX-License-Identifier: GPL-2.0-or-later
// The log of a kernel that died before it described itself: VMCOREINFO is filled in by
// crash_save_vmcoreinfo_init(), a subsys_initcall. The printk ring (v5.10, 896fbe20b4e2) is found
// by its content alone, so nothing proves that a CPU ran this kernel: it may be of an earlier boot.
#pragma once

#include <functional>

#include "src/image/memory.h"
#include "src/kernel/printk_log.h"

namespace vmcore::kernel {

// Calls `each` for every record, oldest first, until it returns false. Of several rings (the kernel
// copies its first one to a larger one) that with the most records counts. Records have a time
// and a caller, and end where they should, only if the ring's table of printk_info is found, too.
// Reads all of memory, once or twice. Errc::not_found if memory has no log.
Result<LogSummary> read_early_log(const PhysicalMemory& memory,
                                  const std::function<bool(const LogRecord&)>& each);

// The remark about a log that was found by its form.
Remark remark_on_early_log();

}  // namespace vmcore::kernel
