// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/early_report.h"

#include <string>
#include <utility>

#include "src/kernel/early_log.h"
#include "src/triage/log_report.h"

namespace vmcore::triage {

Result<report::TriageReport> early_report(const PhysicalMemory& memory) {
  LogReader reader;
  std::string banner;
  TRY_ASSIGN(const kernel::LogSummary summary,
             kernel::read_early_log(memory, [&](const kernel::LogRecord& record) {
               reader.add(kernel::format_log_record(record));
               if (record.sequence == 0) {
                 banner = record.text.substr(0, record.text.find('\n'));
               }
               return true;
             }));
  const LogText log = reader.finish();
  report::TriageReport report =
      report_of_log(log,
                    "the kernel does not describe itself (VMCOREINFO), and its log does not "
                    "tell");
  if (!report.kernel.value) {
    report.kernel.value.emplace().release = log.release;
  }
  report.kernel.value->banner = std::move(banner);
  if (summary.last_nanoseconds != 0) {
    report.kernel.value->uptime_seconds = static_cast<double>(summary.last_nanoseconds) / 1e9;
  }
  report.incomplete = true;
  report.remarks.push_back(kernel::remark_on_early_log());
  return report;
}

}  // namespace vmcore::triage
