// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/save/crash_report.h"

#include <algorithm>
#include <array>

#include "src/kernel/guest_kernel.h"
#include "src/kernel/printk_log.h"

namespace vmcore::guest::save {
namespace {

constexpr std::size_t kMostLog = 8U << 20;

// The beginnings of crash messages (arch/x86/mm/fault.c, arch/x86/kernel/traps.c, kernel/panic.c,
// kernel/watchdog.c, kernel/hung_task.c, drivers/tty/sysrq.c).
constexpr std::array<std::string_view, 10> kSigns = {
    "Kernel panic - not syncing", "BUG: ",           "Oops",
    "general protection fault",   "kernel BUG at",   "watchdog: ",
    "sysrq: Trigger a crash",     "NMI: IOCK error", "Uhhuh. NMI received",
    "invalid opcode: ",
};

// The kernel survived the fault of an older message.
constexpr std::uint64_t kCrashNanoseconds = 10'000'000'000;

struct Sign {
  std::uint64_t nanoseconds;
  std::size_t at;  // in the dmesg
  std::string text;
};

class Reader {
 public:
  void take(const kernel::LogRecord& record) {
    if (std::ranges::any_of(kSigns, [&](auto sign) { return record.text.starts_with(sign); })) {
      signs_.push_back({record.nanoseconds, dmesg_.size(),
                        std::string(record.text.substr(0, record.text.find('\n')))});
    }
    dmesg_ += kernel::format_log_record(record);
    if (dmesg_.size() > 2 * kMostLog) {
      drop(dmesg_.size() - kMostLog);
    }
  }

  void finish(const kernel::LogSummary& summary, CrashReport& report) {
    const auto first = std::ranges::find_if(signs_, [&](const Sign& sign) {
      return sign.nanoseconds + kCrashNanoseconds >= summary.last_nanoseconds;
    });
    if (first != signs_.end()) {
      report.reason = first->text;
      report.stack = dmesg_.substr(first->at);
    }
    if (dmesg_.size() > kMostLog) {
      drop(dmesg_.size() - kMostLog);
    }
    report.dmesg = std::move(dmesg_);
  }

 private:
  // Drops the oldest lines, at least `bytes` bytes.
  void drop(std::size_t bytes) {
    const std::size_t end = dmesg_.find('\n', bytes);
    const std::size_t cut = end == std::string::npos ? dmesg_.size() : end + 1;
    dmesg_.erase(0, cut);
    std::erase_if(signs_, [&](const Sign& sign) { return sign.at < cut; });
    for (Sign& sign : signs_) {
      sign.at -= cut;
    }
  }

  std::string dmesg_;
  std::vector<Sign> signs_;
};

}  // namespace

CrashReport read_crash(const MemoryImage& image) {
  CrashReport report;
  auto found = kernel::find_kernels(image, kernel::Search::registers);
  if (!found) {
    report.remarks.push_back({found.error().code, found.error().message});
    return report;
  }
  report.remarks = std::move(found->remarks);
  if (found->kernels.empty()) {
    report.remarks.push_back(
        {Errc::not_found, "the crashed kernel was not found: no VMCOREINFO leads to it"});
    return report;
  }
  const kernel::GuestKernel& kernel = found->kernels.front();
  report.release = kernel.info().release();
  report.crash_time = kernel.info().crash_time();
  Reader reader;
  const auto summary = kernel::read_printk_log(kernel, [&](const kernel::LogRecord& record) {
    reader.take(record);
    return true;
  });
  if (!summary) {
    report.remarks.push_back({summary.error().code, "dmesg: " + summary.error().message});
  }
  reader.finish(summary.value_or(kernel::LogSummary()), report);
  return report;
}

std::string_view newest_lines(std::string_view log, std::uint64_t most) {
  if (log.size() <= most) {
    return log;
  }
  const std::size_t cut = log.size() - most;
  const std::size_t end = log.find('\n', cut - 1);
  return log.substr(end == std::string_view::npos || end + 1 == log.size() ? cut : end + 1);
}

}  // namespace vmcore::guest::save
