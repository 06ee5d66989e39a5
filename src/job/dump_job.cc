#include "src/job/dump_job.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/acquire/libvirt_setup.h"
#include "src/job/available_memory.h"
#include "src/job/dump_name.h"
#include "src/job/forecast.h"
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
  // Whether it ended before the guest was touched, for that would have been against the options.
  bool refused() const { return refused_; }

 private:
  Result<Fd> make_spool() const;
  Result<> check_pause(std::chrono::microseconds expected);
  sandbox::Request request(sandbox::InputKind input) const;
  // Lets the guest stand still; returns what the worker gets, which alone holds it from then on.
  Result<acquire::Acquired> acquire();
  Result<> give_work(sandbox::Worker& worker, int spool, int output);
  Result<> end_pause(sandbox::Worker& worker);
  Result<sandbox::Done> read_guest(int spool, int output);

  acquire::Guest& guest_;
  const GuestDumpOptions& options_;
  GuestReport& report_;
  const OnProgress& on_progress_;
  int cancel_;
  std::optional<Output> output_;
  Pause pause_;
  std::optional<std::uint64_t> memory_before_;
  bool had_no_memory_ = false;
  bool refused_ = false;
};

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

Result<> DumpJob::check_pause(std::chrono::microseconds expected) {
  using std::chrono::milliseconds;
  const milliseconds limit = options_.pause_limit;
  if (!report_.before.running || options_.torn || limit.count() == 0 || expected <= limit) {
    return {};
  }
  refused_ = true;
  return fail(
      Errc::limit,
      "the guest would stand still for about {} ms, more than --pause-limit allows ({} ms); "
      "it was not touched. Give a higher limit, or --consistency torn, which shows no "
      "single moment",
      std::chrono::duration_cast<milliseconds>(expected).count(), limit.count());
}

sandbox::Request DumpJob::request(sandbox::InputKind input) const {
  sandbox::Request request = make_request(options_.dump, input);
  request.capture = sandbox::Capture{report_.method, report_.consistency};
  request.torn = options_.torn;
  if (report_.before.running && !options_.torn) {
    request.draft = true;
    request.read_ahead = read_ahead_room();
  }
  return request;
}

Result<acquire::Acquired> DumpJob::acquire() {
  memory_before_ = guest_.host_memory();
  TRY_ASSIGN(acquire::Acquired acquired, guest_.acquire(report_.before));
  pause_ = Pause(std::move(acquired.lease));
  return acquired;
}

Result<> DumpJob::give_work(sandbox::Worker& worker, int spool, int output) {
  if (guest_.in_place()) {
    const int fds[] = {output};
    return worker.request(request(sandbox::InputKind::process), fds);
  }
  TRY(check_pause(forecast_stream_pause(report_.memory_size).least));
  TRY_ASSIGN(const acquire::Acquired acquired, acquire());
  std::vector<int> fds{acquired.input.get()};
  if (acquired.kind == sandbox::InputKind::stream) {
    fds.push_back(spool);
  }
  fds.push_back(output);
  return worker.request(request(acquired.kind), fds);
}

Result<> DumpJob::end_pause(sandbox::Worker& worker) {
  if (report_.pause) {
    return {};  // told once of the pipe, and once more of the spool
  }
  TRY_ASSIGN(report_.pause, pause_.end());
  const auto memory_now = guest_.host_memory();
  if (memory_before_ && memory_now && !options_.torn) {  // a torn dump is still to be read
    report_.host_memory = static_cast<std::int64_t>(*memory_now - *memory_before_);
  }
  worker.cost({.pause_us = static_cast<std::uint64_t>(report_.pause->count()),
               .host_memory = report_.host_memory});
  return {};
}

Result<sandbox::Done> DumpJob::read_guest(int spool, int output) {
  // It reads from the pause's pipe, and so goes before the pause.
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  TRY(give_work(worker, spool, output));
  const auto on_ready = [&](const sandbox::Ready& ready) -> Result<Fd> {
    TRY(check_pause(std::chrono::microseconds(ready.pause_us)));
    TRY_ASSIGN(acquire::Acquired acquired, acquire());
    return std::move(acquired.input);
  };
  const auto locate = [&](std::span<const PhysRange> blocks) {
    return blocks.empty() ? guest_.look() : guest_.locate(blocks);
  };
  return follow_worker(worker, {.on_progress = writing_back(on_progress_, output_),
                                .on_ready = on_ready,
                                .fetch = [&](PhysRange range) { return guest_.fetch(range); },
                                .locate = locate,
                                .on_source_read = [&] { return end_pause(worker); },
                                .cancel = cancel_});
}

Result<DumpResult> DumpJob::run() {
  const DumpOptions& dump = options_.dump;
  TRY_ASSIGN(Output output, Output::open(options_.output, dump.force, dump.bypass_cache));
  output_.emplace(std::move(output));
  Fd spool;
  if (guest_.needs_spool(report_.before)) {
    TRY_ASSIGN(spool, make_spool());
  }
  auto done = read_guest(spool.get(), output_->fd());
  static_cast<void>(pause_.end());  // where the worker did not come that far
  if (!done) {
    had_no_memory_ = !report_.pause && acquire::another_may_do(done.error());
    return tl::unexpected(std::move(done).error());
  }
  DumpResult result{.done = *std::move(done), .path = {}, .size_bytes = 0};
  TRY(check_strict(options_.dump, result));
  TRY(output_->keep(result));
  return result;
}

Result<GuestReport> look_at(acquire::Guest& guest) {
  GuestReport report;
  report.name = guest.name();
  TRY(guest.check_readable());
  TRY(guest.check_idle());
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

Result<Attempt> begin(const acquire::Selection& selection, bool torn) {
  TRY_ASSIGN(acquire::OpenedGuest opened, acquire::open_guest(selection));
  auto report = look_at(*opened.guest);
  if (!report) {
    return in_context(std::move(report).error(), opened.guest->name());
  }
  report->method = std::move(opened.method);
  report->consistency = !report->before.running ? "stopped" : torn ? "torn" : "pause";
  report->remarks = std::move(opened.remarks);
  return Attempt{std::move(opened.guest), *std::move(report)};
}

Result<> check_torn(const GuestDumpOptions& options, const GuestReport& report) {
  if (options.torn && report.method != "direct") {
    return fail(Errc::invalid, "--consistency torn needs method direct, and {} is what can be used",
                report.method);
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
    auto attempt = begin(options.guest, options.torn);
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
    if (const Result<> possible = check_torn(options, report); !possible) {
      return nothing_begun(possible.error());
    }
    if (options.output.empty()) {
      options.output = dump_name(report.name, time);
    }
    interrupt.arm();
    DumpJob job(guest, options, report, on_progress, interrupt.fd());
    auto dump = job.run();
    report.remarks.insert(report.remarks.begin(), passed_over.begin(), passed_over.end());
    if (job.had_no_memory() && !options.torn && acquire::has_next(options.guest, report.method)) {
      look_again(guest, acquire::Then::nothing, report);
      if (report.as_expected()) {
        passed_over.push_back(acquire::passed_over(report.method, dump.error()));
        options.guest.tried = report.method;
        before = std::move(report);
        continue;
      }
    }
    if (job.refused()) {
      return nothing_begun(dump.error());
    }
    const bool interrupted = !dump && dump.error().code == Errc::cancelled;
    look_again(guest, interrupted ? acquire::Then::nothing : options.then, report);
    return {std::move(dump), std::move(report)};
  }
}

Result<std::vector<acquire::Selection>> crashed_guests(const std::string& libvirt_uri) {
  TRY_ASSIGN(const std::vector<std::string> names, acquire::crashed_domains(libvirt_uri));
  std::vector<acquire::Selection> guests;
  guests.reserve(names.size());
  for (const std::string& name : names) {
    guests.push_back({.uri = libvirt_uri, .domain = name, .look_up = acquire::LookUp::name});
  }
  return guests;
}

}  // namespace vmcore::job
