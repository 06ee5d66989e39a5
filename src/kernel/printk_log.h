// SPDX-License-Identifier: GPL-2.0-or-later
// The kernel log: the printk ring buffer (v5.10, 896fbe20b4e2) and the record buffer before it
// (v3.5, 7ff9554bb578), through VMCOREINFO alone.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/kernel/guest_kernel.h"

namespace vmcore::kernel {

// One message. `text` may hold newlines and any bytes a guest chose; it lives until the callback
// returns.
struct LogRecord {
  std::uint64_t sequence = 0;
  std::uint64_t nanoseconds = 0;  // since boot
  unsigned facility = 0;
  unsigned level = 0;
  // Who wrote it: a thread, or with bit 31 set a CPU. printk_info.caller_id, always there (v5.10);
  // printk_log.caller_id before, in kernels with CONFIG_PRINTK_CALLER (v5.1, 15ff2069cb7f).
  std::optional<std::uint32_t> caller;
  std::string_view text;
};

struct LogSummary {
  std::uint64_t records = 0;
  std::uint64_t lost = 0;  // records whose text was overwritten or cannot be read
  std::uint64_t last_nanoseconds = 0;
  bool callers = false;  // the log tells the caller of each record
};

// Calls `each` for every record, oldest first; stops early where it returns false. Bounded by the
// ring's own (validated) size. Errc::not_found where VMCOREINFO describes no log.
Result<LogSummary> read_printk_log(const GuestKernel& kernel,
                                   const std::function<bool(const LogRecord&)>& each);

// The record as dmesg prints it: "[    1.234567] text", continuation lines indented alike, what
// could steer a terminal as \xNN (base/printable.h), ends with a newline. `callers`: with the
// record's caller, if known, as dmesg --show-caller does: "[    1.234567] [    T1] text".
std::string format_log_record(const LogRecord& record, bool callers = false);

}  // namespace vmcore::kernel
