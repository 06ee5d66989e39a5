// SPDX-License-Identifier: GPL-2.0-or-later
// The two forms of the kernel log, for printk_log.cc.
#pragma once

#include <functional>

#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/printk_log.h"

namespace vmcore::kernel {

// printk_ringbuffer, v5.10 (896fbe20b4e2): descriptors, infos and texts in three rings.
Result<LogSummary> read_printk_ring(const GuestKernel& kernel,
                                    const std::function<bool(const LogRecord&)>& each);

// log_buf of records with a header each, v3.5 (7ff9554bb578) to v5.9.
Result<LogSummary> read_printk_records(const GuestKernel& kernel,
                                       const std::function<bool(const LogRecord&)>& each);

}  // namespace vmcore::kernel
