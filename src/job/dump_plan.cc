// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dump_plan.h"

#include <chrono>

#include "src/image/page.h"
#include "src/job/forecast.h"
#include "src/job/guest_census.h"
#include "src/job/output.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {
namespace {

Remark fact(std::string text) { return {Errc::guest_state, std::move(text), Severity::fact}; }

void tell_pause(const GuestDumpOptions& options, GuestReport& report) {
  using std::chrono::milliseconds;
  const auto pause = std::chrono::ceil<milliseconds>(*report.forecast);
  report.remarks.push_back(
      fact(fmt::format("the guest would be paused for about {} ms", pause.count())));
  if (options.pause_limit.count() != 0 && pause > options.pause_limit) {
    report.remarks.push_back({Errc::limit, fmt::format("--pause-limit ({} ms) would refuse that",
                                                       options.pause_limit.count())});
  }
}

}  // namespace

Result<DumpResult> plan_dump(acquire::Guest& guest, const GuestDumpOptions& options,
                             GuestReport& report) {
  report.after = report.before;
  if (!guest.in_place()) {
    return fail(Errc::unsupported,
                "--dry-run needs method direct: without it, what would be kept is known only when "
                "the guest is paused (`check` tells the most)");
  }
  const Conversion& how = options.dump.how;
  TRY(Output::open(options.output, options.dump.force, false));
  TRY_ASSIGN(DumpResult result,
             take_census(guest, report.before.running, how.threads, how.level)
                 .map([](report::Summary summary) { return DumpResult{.summary = summary}; }));
  if (report.before.running && options.consistency == Consistency::pause) {
    report.forecast = rehearse_pause(guest, options.memory, how.threads);
  }
  if (report.forecast) {
    tell_pause(options, report);
  }
  const std::filesystem::path folder = folder_beside(options.output);
  TRY_ASSIGN(const std::uint64_t room, staging::free_space(folder));
  const std::uint64_t kept = result.summary.kept_pages * kPageSize;
  const std::uint64_t size = is_compressed(how) ? forecast({.kept_bytes = kept}).size_bytes : kept;
  report.remarks.push_back(
      fact(fmt::format("the dump would be {}, of about {} MiB; {} MiB are free there",
                       options.output.string(), size >> 20, room >> 20)));
  if (room < size) {
    report.remarks.push_back(
        {Errc::no_space, "that is not enough: make room, or give another folder"});
  }
  return result;
}

}  // namespace vmcore::job
