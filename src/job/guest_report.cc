// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/guest_report.h"

#include <sys/utsname.h>

namespace vmcore::job {
namespace {

std::optional<std::uint64_t> count_of(const std::optional<acquire::Microseconds>& time) {
  return time ? std::optional(static_cast<std::uint64_t>(time->count())) : std::nullopt;
}

}  // namespace

std::string node_name() {
  utsname name{};
  return ::uname(&name) == 0 ? name.nodename : "";
}

CaptureCost cost_of(const GuestReport& report) {
  return {.time = report.time,
          .forecast_us = count_of(report.forecast),
          .pause_us = count_of(report.pause),
          .host_memory = report.host_memory,
          .duration_us = count_of(report.duration)};
}

Result<GuestReport> look_at(acquire::Guest& guest) {
  GuestReport report;
  report.name = guest.name();
  report.identity = guest.identity();
  report.identity.host = node_name();
  report.handle = guest.handle();
  TRY(guest.check_readable());
  TRY(guest.check_idle());
  TRY_ASSIGN(report.remarks, guest.mend());
  TRY_ASSIGN(report.before, guest.state());
  TRY_ASSIGN(report.memory_size, guest.memory_size());
  return report;
}

void see_after(acquire::Guest& guest, GuestReport& report) {
  if (auto after = guest.state()) {
    report.after = *std::move(after);
  } else {
    report.why_unseen = after.error().message;
  }
}

}  // namespace vmcore::job
