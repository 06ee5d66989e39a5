#include "src/job/dump_job.h"

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/acquire/libvirt_setup.h"
#include "src/job/available_memory.h"
#include "src/job/dump_attempt.h"
#include "src/job/dump_name.h"

namespace vmcore::job {
namespace {

void look_again(acquire::Guest& guest, acquire::Then then, GuestReport& report) {
  if (auto after = guest.state()) {
    report.after = *std::move(after);
  }
  if (then == acquire::Then::nothing) {
    return;
  }
  if (Result<> done = guest.act(then); !done) {
    report.then_error = std::move(done).error();
  }
  report.then_done = !report.then_error;
}

const char* name_of(Consistency consistency) {
  switch (consistency) {
    case Consistency::pause:
      return "pause";
    case Consistency::torn:
      return "torn";
    case Consistency::snapshot:
      return "snapshot";
  }
  return "";
}

// One way to a guest, opened and looked at.
struct Opened {
  std::unique_ptr<acquire::Guest> guest;
  GuestReport report;
};

Result<Opened> open(const GuestDumpOptions& options) {
  TRY_ASSIGN(acquire::OpenedGuest opened, options.consistency == Consistency::snapshot
                                              ? acquire::open_for_snapshot(options.guest)
                                              : acquire::open_guest(options.guest));
  auto report = look_at(*opened.guest);
  if (!report) {
    return in_context(std::move(report).error(), opened.guest->name());
  }
  report->method = std::move(opened.method);
  report->consistency = report->before.running ? name_of(options.consistency) : "stopped";
  report->remarks.insert(report->remarks.begin(), opened.remarks.begin(), opened.remarks.end());
  return Opened{std::move(opened.guest), *std::move(report)};
}

Result<> check_consistency(const GuestDumpOptions& options, const GuestReport& report) {
  if (options.consistency == Consistency::torn && report.method != "direct") {
    return fail(Errc::invalid, "--consistency torn needs method direct, and {} is what can be used",
                report.method);
  }
  if (options.consistency == Consistency::torn && options.dump.verify) {
    return fail(Errc::invalid,
                "--verify compares the dump with memory that stands still, not with --consistency "
                "torn");
  }
  return {};
}

GuestDumpResult nothing_begun(Error error) { return {tl::unexpected(std::move(error)), {}}; }

}  // namespace

GuestDumpResult dump_guest(const GuestDumpOptions& given, Interrupt& interrupt,
                           const OnProgress& on_progress) {
  be_killed_first();
  GuestDumpOptions options = given;
  options.guest.spool_folder = spool_folder(options);
  const auto time = std::chrono::system_clock::now();
  std::vector<Remark> passed_over;
  std::optional<GuestReport> before;  // of the method that came to nothing
  while (true) {
    auto opened = open(options);
    if (!opened && before) {
      if (options.then != acquire::Then::nothing) {
        before->then_error = opened.error();
      }
      return {tl::unexpected(std::move(opened).error()), std::move(before)};
    }
    if (!opened) {
      return nothing_begun(std::move(opened).error());
    }
    acquire::Guest& guest = *opened->guest;
    GuestReport& report = opened->report;
    if (const Result<> possible = check_consistency(options, report); !possible) {
      return nothing_begun(possible.error());
    }
    if (options.output.empty()) {
      options.output = dump_name(report.name, time);
    }
    interrupt.arm();
    DumpAttempt attempt(guest, options, report, on_progress, interrupt.fd());
    auto dump = attempt.run();
    report.remarks.insert(report.remarks.begin(), passed_over.begin(), passed_over.end());
    if (attempt.had_no_memory() && options.consistency == Consistency::pause &&
        acquire::has_next(options.guest, report.method)) {
      look_again(guest, acquire::Then::nothing, report);
      if (report.as_expected()) {
        passed_over.push_back(acquire::passed_over(report.method, dump.error()));
        options.guest.tried = report.method;
        before = std::move(report);
        continue;
      }
    }
    if (attempt.refused()) {
      return {tl::unexpected(dump.error()), std::move(before)};
    }
    const bool interrupted = !dump && dump.error().code == Errc::cancelled;
    look_again(guest, interrupted ? acquire::Then::nothing : options.then, report);
    return {std::move(dump), std::move(report)};
  }
}

Result<std::vector<acquire::Selection>> crashed_guests(const std::string& libvirt_uri) {
  return acquire::crashed_domains(libvirt_uri);
}

}  // namespace vmcore::job
