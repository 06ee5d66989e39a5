#include "src/job/dump_job.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/base/sys.h"
#include "src/job/available_memory.h"
#include "src/job/dump_name.h"
#include "src/job/output.h"
#include "src/job/pause.h"
#include "src/job/run_worker.h"
#include "src/store/staged_file.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;

// A dump holds the memory of devices as well (VGA, firmware), and its own headers.
constexpr std::uint64_t kBesideRam = 128U << 20;

// One dump under way.
class DumpJob {
 public:
  DumpJob(acquire::Guest& guest, const GuestDumpOptions& options, GuestReport& report,
          const OnProgress& on_progress, int cancel)
      : guest_(guest),
        options_(options),
        report_(report),
        on_progress_(on_progress),
        cancel_(cancel) {}

  Result<DumpResult> run();
  // Whether it failed because the guest's memory could not be had: another method may do.
  bool had_no_memory() const { return had_no_memory_; }

 private:
  Result<> check_growth();
  Result<Fd> make_spool() const;
  // Hands over what was acquired; the worker alone holds it from then on.
  Result<> give_work(sandbox::Worker& worker, acquire::Acquired acquired, int spool,
                     int output) const;
  // Waits until QEMU has written its snapshot. What comes then is a file.
  Result<> await_snapshot(acquire::Lease& lease, int file) const;
  Result<sandbox::Done> read_guest(int spool, int output);

  acquire::Guest& guest_;
  const GuestDumpOptions& options_;
  GuestReport& report_;
  const OnProgress& on_progress_;
  int cancel_;
  bool had_no_memory_ = false;
};

// How much may be read ahead so that the guest waits less: a quarter of what the host has to spare,
// or of what this process's cgroup has.
std::uint64_t read_ahead_room() {
  constexpr std::uint64_t kMost = 1U << 30;
  return std::min(kMost, available_memory() / 4);
}

fs::path spool_folder(const GuestDumpOptions& options) {
  if (!options.spool.empty()) {
    return options.spool;
  }
  if (options.output == "-") {
    return temporary_folder();
  }
  return options.output.has_parent_path() ? options.output.parent_path() : fs::path(".");
}

std::string mebibytes(std::uint64_t bytes) { return fmt::format("{} MiB", bytes >> 20); }

Result<Fd> DumpJob::make_spool() const {
  const fs::path folder = spool_folder(options_);
  TRY_ASSIGN(const std::uint64_t room, store::free_space(folder));
  const std::uint64_t needed = report_.memory_size + kBesideRam;
  if (room < needed) {
    return fail(Errc::no_space,
                "{} has {} free, and the guest's memory may take {} there while it is filtered: "
                "make room, or give another folder by --spool",
                folder.string(), mebibytes(room), mebibytes(needed));
  }
  return store::create_unlinked(folder);
}

Result<> DumpJob::give_work(sandbox::Worker& worker, acquire::Acquired acquired, int spool,
                            int output) const {
  std::vector<int> fds{acquired.input.get()};
  if (acquired.kind == sandbox::InputKind::stream) {
    fds.push_back(spool);
  }
  if (acquired.kind == sandbox::InputKind::snapshot) {
    fds.insert(fds.end(), {spool, acquired.header.get()});
  }
  fds.push_back(output);
  sandbox::Request request = make_request(options_.dump, acquired.kind);
  request.places = std::move(acquired.places);
  request.torn = options_.consistency == Consistency::torn;
  if (report_.before.running && options_.consistency == Consistency::pause) {
    request.read_ahead = read_ahead_room();
  }
  return worker.request(request, fds);
}

// On an interruption the snapshot is waited for all the same, by the lease: QEMU cannot end it
// without hanging (acquire/snapshot.h).
Result<> DumpJob::await_snapshot(acquire::Lease& lease, int file) const {
  while (true) {
    TRY_ASSIGN(const bool over, lease.over());
    if (over) {
      return {};
    }
    TRY_ASSIGN(const std::uint64_t size, sys::file_size(file));
    if (on_progress_) {
      on_progress_(sandbox::Spooling{size});
    }
    constexpr int kLookEvery = 100;  // milliseconds
    pollfd wait{cancel_, POLLIN, 0};
    if (::poll(&wait, 1, kLookEvery) > 0) {
      return fail(Errc::cancelled, "interrupted");
    }
  }
}

Result<sandbox::Done> DumpJob::read_guest(int spool, int output) {
  // In this order: the worker, which reads from the pause's pipe, goes before the pause.
  Pause pause;
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  TRY_ASSIGN(acquire::Acquired acquired, guest_.acquire(report_.before));
  acquire::Lease* const lease = acquired.lease.get();
  pause = Pause(std::move(acquired.lease));
  if (acquired.kind == sandbox::InputKind::snapshot) {
    TRY(await_snapshot(*lease, acquired.input.get()));
    TRY_ASSIGN(report_.pause, pause.end());
  }
  TRY(give_work(worker, std::move(acquired), spool, output));
  const auto end_pause = [&]() -> Result<> {
    if (!report_.pause) {  // told once of the pipe, and once more of the spool
      TRY_ASSIGN(report_.pause, pause.end());
    }
    return {};
  };
  TRY_ASSIGN(sandbox::Done done,
             follow_worker(worker, {.on_progress = on_progress_,
                                    .fetch = [&](PhysRange range) { return guest_.fetch(range); },
                                    .locate = [&](auto blocks) { return guest_.locate(blocks); },
                                    .on_source_read = end_pause,
                                    .cancel = cancel_}));
  return done;
}

// The host must not run out of memory for a dump.
Result<> DumpJob::check_growth() {
  TRY_ASSIGN(const std::uint64_t growth, guest_.growth());
  const std::uint64_t available = available_memory();
  if (growth > available) {
    return fail(Errc::no_space,
                "the guest's memory is shared, and the host would allocate {} more for a snapshot; "
                "it has {} available: use --consistency pause",
                mebibytes(growth), mebibytes(available));
  }
  return {};
}

Result<DumpResult> DumpJob::run() {
  TRY(check_growth());
  TRY_ASSIGN(Output output, Output::open(options_.output, options_.dump.force));
  Fd spool;
  if (guest_.needs_spool(report_.before)) {
    TRY_ASSIGN(spool, make_spool());
  }
  auto done = read_guest(spool.get(), output.fd());
  if (!done) {
    had_no_memory_ = !report_.pause && acquire::another_may_do(done.error());
    return tl::unexpected(std::move(done).error());
  }
  DumpResult result{.done = *std::move(done), .path = {}, .size_bytes = 0};
  TRY(check_strict(options_.dump, result));
  TRY(output.keep(result));
  return result;
}

Result<GuestReport> look_at(acquire::Guest& guest) {
  GuestReport report;
  report.name = guest.name();
  TRY(guest.check_idle());
  TRY_ASSIGN(report.remarks, guest.mend());
  TRY_ASSIGN(report.before, guest.state());
  TRY_ASSIGN(report.memory_size, guest.memory_size());
  return report;
}

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

// One way to a guest, opened and looked at.
struct Attempt {
  std::unique_ptr<acquire::Guest> guest;
  GuestReport report;
};

Result<Attempt> begin(const GuestDumpOptions& options) {
  TRY_ASSIGN(acquire::OpenedGuest opened, options.consistency == Consistency::snapshot
                                              ? acquire::open_for_snapshot(options.guest)
                                              : acquire::open_guest(options.guest));
  auto report = look_at(*opened.guest);
  if (!report) {
    return in_context(std::move(report).error(), opened.guest->name());
  }
  report->method = std::move(opened.method);
  report->remarks.insert(report->remarks.begin(), opened.remarks.begin(), opened.remarks.end());
  return Attempt{std::move(opened.guest), *std::move(report)};
}

Result<> check_consistency(const GuestDumpOptions& options, const GuestReport& report) {
  if (options.consistency == Consistency::torn && report.method != "direct") {
    return fail(Errc::invalid, "--consistency torn needs method direct, and {} is what can be used",
                report.method);
  }
  return {};
}

GuestDumpResult nothing_begun(Error error) { return {tl::unexpected(std::move(error)), {}}; }

}  // namespace

GuestDumpResult dump_guest(const GuestDumpOptions& given, Interrupt& interrupt,
                           const OnProgress& on_progress) {
  GuestDumpOptions options = given;
  options.guest.spool_folder = spool_folder(options);
  const auto time = std::chrono::system_clock::now();
  std::vector<Remark> passed_over;
  std::optional<GuestReport> before;  // of the method that came to nothing
  while (true) {
    auto attempt = begin(options);
    if (!attempt && before) {
      if (options.then != acquire::Then::nothing) {
        before->then_error = attempt.error();
      }
      return {tl::unexpected(std::move(attempt).error()), std::move(before)};
    }
    if (!attempt) {
      return nothing_begun(std::move(attempt).error());
    }
    acquire::Guest& guest = *attempt->guest;
    GuestReport& report = attempt->report;
    if (const Result<> possible = check_consistency(options, report); !possible) {
      return nothing_begun(possible.error());
    }
    if (options.output.empty()) {
      options.output = dump_name(report.name, time);
    }
    interrupt.arm();
    DumpJob job(guest, options, report, on_progress, interrupt.fd());
    auto dump = job.run();
    report.remarks.insert(report.remarks.begin(), passed_over.begin(), passed_over.end());
    if (job.had_no_memory() && options.consistency == Consistency::pause &&
        acquire::has_next(options.guest, report.method)) {
      look_again(guest, acquire::Then::nothing, report);
      if (report.as_expected()) {
        passed_over.push_back(acquire::passed_over(report.method, dump.error()));
        options.guest.tried = report.method;
        before = std::move(report);
        continue;
      }
    }
    const bool interrupted = !dump && dump.error().code == Errc::cancelled;
    look_again(guest, interrupted ? acquire::Then::nothing : options.then, report);
    return {std::move(dump), std::move(report)};
  }
}

}  // namespace vmcore::job
