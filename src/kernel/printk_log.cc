// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/printk_log.h"

#include "src/base/printable.h"
#include "src/kernel/printk_readers.h"

namespace vmcore::kernel {
Result<LogSummary> read_printk_log(const GuestKernel& kernel,
                                   const std::function<bool(const LogRecord&)>& each) {
  const Vmcoreinfo& info = kernel.info();
  if (info.symbol("prb")) {
    return read_printk_ring(kernel, each);
  }
  if (info.symbol("log_first_idx") && info.symbol("log_next_idx")) {
    return read_printk_records(kernel, each);
  }
  if (info.symbol("log_buf")) {
    return fail(Errc::unsupported, "kernel log: the format before Linux 3.5 is not supported");
  }
  return fail(Errc::not_found, "kernel log: VMCOREINFO does not have its address");
}

namespace {

// print_caller() of kernel/printk/printk.c.
std::string caller_text(std::uint32_t caller) {
  constexpr std::uint32_t kIsCpu = 1U << 31;
  const char kind = (caller & kIsCpu) != 0 ? 'C' : 'T';
  return fmt::format("[{:>6}] ", fmt::format("{}{}", kind, caller & ~kIsCpu));
}

}  // namespace

std::string format_log_record(const LogRecord& record, bool callers) {
  constexpr std::uint64_t kPerSecond = 1'000'000'000;
  std::string line = fmt::format("[{:5}.{:06}] ", record.nanoseconds / kPerSecond,
                                 record.nanoseconds % kPerSecond / 1000);
  line += callers && record.caller ? caller_text(*record.caller) : "";
  const std::string indent(line.size(), ' ');
  for (const char c : printable_lines(record.text)) {
    line += c;
    line += c == '\n' ? indent : "";
  }
  return line + '\n';
}

}  // namespace vmcore::kernel
