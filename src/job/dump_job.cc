// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/dump_job.h"

#include <poll.h>

#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/acquire/commands.h"
#include "src/acquire/libvirt/setup.h"
#include "src/job/available_memory.h"
#include "src/job/dump_attempt.h"
#include "src/job/dump_name.h"
#include "src/job/dump_plan.h"
#include "src/job/guest_census.h"
#include "src/job/guest_lock.h"

namespace vmcore::job {
namespace {

void carry_out(acquire::Then then, acquire::Guest& guest, GuestReport& report) {
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

// Whether the job only reads memory while the guest runs, and does nothing to it.
bool only_looks(const GuestDumpOptions& options) {
  return options.consistency == Consistency::torn && options.then == acquire::Then::nothing;
}

// A guest that was opened by one method.
struct Opened {
  std::unique_ptr<acquire::Guest> guest;
  GuestReport report;
};

Result<GuestLock> take_lock(acquire::OpenedGuest& opened, const GuestDumpOptions& options,
                            int cancel) {
  constexpr int kTryEvery = 200;  // milliseconds
  const auto until = std::chrono::steady_clock::now() + options.lock_patience;
  while (true) {
    auto taken = lock_guest(opened.guest->keys(), "dumps the guest", opened.remarks);
    if (taken || taken.error().code != Errc::busy || std::chrono::steady_clock::now() >= until) {
      return taken;
    }
    pollfd wait{cancel, POLLIN, 0};
    if (::poll(&wait, 1, kTryEvery) > 0) {
      return fail(Errc::cancelled, "interrupted");
    }
  }
}

// Takes the guest's lock, unless it is held already.
Result<Opened> look(acquire::OpenedGuest opened, const GuestDumpOptions& options,
                    std::optional<GuestLock>& lock, int cancel) {
  if (!options.locked && !lock && !only_looks(options)) {
    auto taken = take_lock(opened, options, cancel);
    if (!taken) {
      return in_context(std::move(taken).error(), opened.guest->name());
    }
    lock = *std::move(taken);
  }
  auto report = look_at(*opened.guest);
  if (!report) {
    return in_context(std::move(report).error(), opened.guest->name());
  }
  report->method = opened.method;
  report->consistency = report->before.running ? name_of(options.consistency) : "stopped";
  report->remarks.insert(report->remarks.begin(), opened.remarks.begin(), opened.remarks.end());
  return Opened{std::move(opened.guest), *std::move(report)};
}

Result<Opened> open(const GuestDumpOptions& options, std::optional<GuestLock>& lock, int cancel) {
  const bool fits = options.consistency == Consistency::pause;
  if (fits && options.opened != nullptr && options.opened->guest != nullptr) {
    auto known = look(std::move(*options.opened), options, lock, cancel);
    if (known || known.error().code == Errc::busy || known.error().code == Errc::cancelled) {
      return known;
    }  // else its connection may have been lost meanwhile
  }
  TRY_ASSIGN(acquire::OpenedGuest opened, options.consistency == Consistency::snapshot
                                              ? acquire::open_for_snapshot(options.guest)
                                              : acquire::open_guest(options.guest));
  return look(std::move(opened), options, lock, cancel);
}

Result<> check_consistency(const GuestDumpOptions& options, const GuestReport& report) {
  if (options.consistency == Consistency::torn && report.method != acquire::Method::direct) {
    return fail(Errc::invalid,
                "--consistency torn needs method direct, but only method {} can be used",
                acquire::method_name(report.method));
  }
  if (options.consistency == Consistency::torn && options.dump.how.verify) {
    return fail(
        Errc::invalid,
        "--verify needs memory that does not change, and cannot be used with --consistency torn");
  }
  return {};
}

// Why `then` must not be carried out; empty if it may.
std::string objection(const GuestDumpOptions& options, const GuestDumpResult& result) {
  const Result<DumpResult>& dump = result.dump;
  if (!dump && dump.error().code == Errc::cancelled) {
    return "the dump was interrupted";
  }
  if (options.then_always) {
    return "";
  }
  if (!dump) {
    return "no dump was kept";
  }
  if (dump->summary.incomplete) {
    return "the dump is incomplete";
  }
  if (dump->name_may_go) {
    return "the dump may not survive a power cut";
  }
  const Result<> kept = options.confirm_kept ? options.confirm_kept() : Result<>();
  return kept ? "" : kept.error().message;
}

Withheld withhold(const GuestDumpOptions& options, std::string why, const GuestDumpResult& result) {
  // A guest that was never reached has the name that the user gave. virsh has no option --name.
  const std::string domain = result.guest ? result.guest->handle
                             : options.guest.look_up == acquire::LookUp::name
                                 ? acquire::handle_of(options.guest.domain, "UUID")
                                 : options.guest.domain;
  return {std::move(why), acquire::by_hand(options.guest, options.then, domain)};
}

// libvirt says that the guest runs after a crash, and its memory shows that it has not booted
// since.
bool runs_in_panic(acquire::Guest& guest, unsigned threads) {
  if (!guest.runs_after_crash()) {
    return false;
  }
  const auto census = take_census(guest, true, threads);
  return census && census->crashed;
}

// Whether it was seen after its dump already, and belongs to the caller again.
bool is_returned(const GuestReport& report) { return report.after || !report.why_unseen.empty(); }

GuestDumpResult nothing_begun(Error error) { return {tl::unexpected(std::move(error)), {}}; }

// All of dump_guest() but GuestDumpResult::withheld.
GuestDumpResult dump_and_act(const GuestDumpOptions& given, Interrupt& interrupt,
                             const OnProgress& on_progress, std::string& why_not) {
  GuestDumpOptions options = given;
  options.guest.spool_folder = spool_folder(options);
  options.guest.spool_memory = available_memory() / 4 * 3;
  const auto time = std::chrono::system_clock::now();
  std::vector<Remark> passed_over;
  std::optional<GuestReport> before;  // of the method that came to nothing
  std::optional<GuestLock> lock;
  if (given.on_memory_read) {
    options.on_memory_read = [&] {
      lock.reset();  // its next crash is another job's
      given.on_memory_read();
    };
  }
  while (true) {
    auto opened = open(options, lock, interrupt.fd());
    if (!opened && before) {
      if (options.then != acquire::Then::nothing && options.then_always) {
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
    if (!options.output.has_filename()) {
      options.output /= dump_name(report.name, time);
    }
    if (options.dump.how.dry_run) {
      auto planned = plan_dump(guest, options, report);
      return {std::move(planned), std::move(report)};
    }
    if (options.consistency == Consistency::snapshot) {
      interrupt.arm();  // it has to be waited for
    } else {
      interrupt.arm_for(1);
    }
    if (runs_in_panic(guest, options.dump.how.threads)) {
      options.pause_limit = {};
    }
    DumpAttempt attempt(guest, options, report, on_progress, interrupt.fd());
    auto dump = attempt.run();
    report.remarks.insert(report.remarks.begin(), passed_over.begin(), passed_over.end());
    if (attempt.had_no_memory() && options.consistency == Consistency::pause &&
        acquire::has_next(options.guest, report.method)) {
      see_after(guest, report);
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
    if (!is_returned(report)) {
      see_after(guest, report);
    }
    GuestDumpResult result{std::move(dump), std::move(report)};
    if (options.then != acquire::Then::nothing) {
      why_not = objection(options, result);
      if (why_not.empty()) {
        carry_out(options.then, guest, *result.guest);
      }
    }
    return result;
  }
}

}  // namespace

GuestDumpResult dump_guest(const GuestDumpOptions& options, Interrupt& interrupt,
                           const OnProgress& on_progress) {
  std::string why_not;
  GuestDumpResult result = dump_and_act(options, interrupt, on_progress, why_not);
  const bool tried = result.guest && (result.guest->then_done || result.guest->then_error);
  if (options.then != acquire::Then::nothing && !tried) {
    result.withheld =
        withhold(options, why_not.empty() ? "no dump was kept" : std::move(why_not), result);
  }
  return result;
}

std::string dump_command(const acquire::Selection& guest) {
  const char* const look_up = guest.look_up == acquire::LookUp::id     ? "dump --id"
                              : guest.look_up == acquire::LookUp::name ? "dump --name"
                                                                       : "dump";
  return acquire::vmcorectl_command(guest, look_up, guest.domain);
}

namespace {

// A domain that runs "after a crash", by what its own memory says: nothing where it has booted
// since.
std::optional<CrashedGuest> look_for_crash(acquire::Selection selection) {
  const auto opened = acquire::open_guest(selection);
  const auto census = opened ? take_census(*opened->guest, true, 1)
                             : Result<report::Summary>(tl::unexpected(opened.error()));
  if (!census) {
    const Error doubt{
        census.error().code,
        fmt::format("{}: libvirt reports that the guest runs after a crash, but whether it is "
                    "still in its panic is not known ({}): if it is, dump it by name",
                    selection.domain, census.error().message)};
    return CrashedGuest{.guest = std::move(selection), .doubt = doubt};
  }
  return census->crashed ? std::optional(CrashedGuest{.guest = std::move(selection)})
                         : std::nullopt;
}

}  // namespace

Result<std::vector<CrashedGuest>> crashed_guests(const std::string& libvirt_uri) {
  TRY_ASSIGN(const auto domains, acquire::crashed_domains(libvirt_uri));
  std::vector<CrashedGuest> guests;
  for (const acquire::CrashedDomain& domain : domains) {
    if (domain.certain) {
      guests.push_back({.guest = domain.guest});
    } else if (auto found = look_for_crash(domain.guest)) {
      guests.push_back(*std::move(found));
    }
  }
  return guests;
}

}  // namespace vmcore::job
