// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_tail.h"

#include <deque>

#include "src/kernel/printk_log.h"

namespace vmcore::triage {
namespace {

void add_lines(std::deque<std::string>& lines, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, std::min(end, report::kMaxText)));
    if (lines.size() > report::kMaxLogLines) {
      lines.pop_front();
    }
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
}

}  // namespace

LogTail read_log_tail(const kernel::GuestKernel& kernel, std::vector<Remark>& remarks) {
  LogTail tail;
  LogReader reader;
  std::deque<std::string> lines;
  const auto log = kernel::read_printk_log(kernel, [&](const kernel::LogRecord& record) {
    const std::string text = kernel::format_log_record(record);
    reader.add(text);
    add_lines(lines, text);
    return true;
  });
  if (!log) {
    tail.lines.why_not = log.error().message;
    return tail;
  }
  tail.crash = reader.finish().crash;
  tail.last_seconds = static_cast<double>(log->last_nanoseconds) / 1e9;
  tail.lines.value = {lines.begin(), lines.end()};
  if (log->lost != 0) {
    remarks.push_back({Errc::unreadable, fmt::format("{} log records cannot be read", log->lost)});
  }
  return tail;
}

}  // namespace vmcore::triage
