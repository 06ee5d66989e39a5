#include "src/job/receive_job.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <variant>
#include <vector>

#include "src/acquire/guest_line.h"
#include "src/job/available_memory.h"
#include "src/job/awaited_line.h"
#include "src/job/dump_name.h"
#include "src/job/output.h"
#include "src/job/run_worker.h"
#include "src/seal/key.h"
#include "src/store/staged_file.h"

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// The worker holds three bits a page: half a GiB for that much.
constexpr std::uint64_t kMostMemory = 4ULL << 40;
// What firmware and devices add to what a definition says.
constexpr std::uint64_t kBesideMemory = 128U << 20;
class Reception {
 public:
  Reception(const ReceiveOptions& options, ReceiveReport& report, const OnReport& on_report,
            const OnProgress& on_progress, Interrupt& interrupt)
      : options_(options),
        report_(report),
        on_report_(on_report),
        on_progress_(on_progress),
        interrupt_(interrupt) {}

  Result<DumpResult> run();

 private:
  Result<> open_key();
  Result<> open_witness();
  Result<> await_line();
  Result<> open_files();
  Result<sandbox::Done> take_stream();
  bool is_stray() const;
  fs::path spool_folder() const;
  Result<sandbox::StreamTerms> terms() const;
  void take(const sandbox::Event& event);
  void keep_log();
  Result<Fd> make_hangup();
  bool hang_up();

  const ReceiveOptions& options_;
  ReceiveReport& report_;
  const OnReport& on_report_;
  const OnProgress& on_progress_;
  Interrupt& interrupt_;
  fs::path output_path_;
  std::optional<AwaitedLine> line_;
  bool is_read_ = false;  // by a worker, that which came last
  std::optional<Output> output_;
  std::optional<store::StagedFile> log_;
  Fd spool_;
  Fd key_;     // of a sealed stream
  Fd hangup_;  // its being closed ends the line in the worker
};

// That it is one is told before anything is waited for; the worker reads it again.
Result<> Reception::open_key() {
  if (options_.key.empty()) {
    return acquire::is_tcp(options_.from)
               ? fail(Errc::invalid,
                      "over TCP only sealed streams are taken: make a key (vmcorectl key FILE), "
                      "give the guest its public half (encrypt-to), and --key FILE here")
               : Result<>();
  }
  key_ = Fd(::open(options_.key.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!key_) {
    return fail_errno(errno, options_.key.string());
  }
  if (auto key = seal::read_key_file(key_.get()); !key) {
    return in_context(std::move(key).error(), options_.key.string());
  }
  return {};
}

// The one that was named. What crashed the guest on purpose needs it the least.
Result<> Reception::open_witness() {
  if (options_.guest.socket.empty()) {
    return {};
  }
  auto watched = line_->watch(options_.guest.socket);
  return options_.crash ? Result<>() : watched;
}

Result<> Reception::await_line() {
  if (Result<> came = line_->await(interrupt_.fd()); !came) {
    report_.interrupted = came.error().code == Errc::cancelled;
    return came;
  }
  report_.name = line_->name();
  if (report_.crash != "ordered") {
    report_.crash = line_->saw_crash() ? "event" : "claim";
  }
  return {};
}

fs::path Reception::spool_folder() const {
  if (!options_.spool.empty()) {
    return options_.spool;
  }
  return folder_beside(output_path_);
}

Result<> Reception::open_files() {
  const std::string name = dump_name(line_->name(), std::chrono::system_clock::now());
  output_path_ = options_.output.empty() ? fs::path(name) : resolved_output(options_.output);
  if (!options_.dump.dry_run) {
    TRY_ASSIGN(Output output,
               Output::open(output_path_, options_.dump.force, options_.dump.bypass_cache));
    output_.emplace(std::move(output));
  }
  const fs::path beside = is_stream(output_path_) ? fs::path(name) : output_path_;
  TRY_ASSIGN(auto log, store::StagedFile::create(beside.string() + ".dmesg", options_.dump.force));
  log_.emplace(std::move(log));
  TRY_ASSIGN(spool_, store::create_unlinked(spool_folder()));
  return {};
}

Result<sandbox::StreamTerms> Reception::terms() const {
  TRY_ASSIGN(const std::uint64_t room, store::free_space(spool_folder()));
  // Where both are in one folder, the dump itself needs room as well.
  const std::uint64_t fits = options_.spool.empty() ? room / 2 : room;
  const std::optional<std::uint64_t> known = options_.memory ? options_.memory : line_->memory();
  return sandbox::StreamTerms{
      .most_ram = known ? std::min(*known + kBesideMemory, kMaxPhysAddr) : kMostMemory,
      .most_kept = std::min(fits, options_.most.value_or(fits)),
      .wait_ms = static_cast<std::uint64_t>(line_->patience().count()),
      .idle_ms = static_cast<std::uint64_t>(milliseconds(options_.idle).count()),
      .deadline_ms = static_cast<std::uint64_t>(milliseconds(options_.deadline).count()),
      .sealed = bool(key_)};
}

void Reception::keep_log() {
  auto kept = log_->commit();
  log_.reset();
  if (!kept) {
    report_.log_error = std::move(kept).error();
    return;
  }
  report_.log = std::move(kept->path);
  if (kept->doubt) {
    report_.log_error = Error{kept->doubt->code, kept->doubt->text};
  }
}

void Reception::take(const sandbox::Event& event) {
  if (const auto* hello = std::get_if<sandbox::Hello>(&event)) {
    report_.hello = *hello;
    line_->stop_watching();  // a monitor is held no longer
    key_.reset();            // nor what would open other streams
    on_report_(report_);
  } else if (const auto* read = std::get_if<sandbox::LogRead>(&event); read && log_) {
    report_.panic = read->panic;
    if (read->bytes != 0) {
      keep_log();
    }
    on_report_(report_);
  }
}

// The worker's end.
Result<Fd> Reception::make_hangup() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return fail_errno(errno, "pipe");
  }
  hangup_ = Fd(ends[1]);
  return Fd(ends[0]);
}

// Whether that is all that an interruption does.
bool Reception::hang_up() {
  if (std::exchange(report_.interrupted, true)) {
    return false;
  }
  interrupt_.rearm();
  hangup_.reset();
  on_report_(report_);
  return true;
}

Result<sandbox::Done> Reception::take_stream() {
  sandbox::Request request = make_request(options_.dump, sandbox::InputKind::guest_stream);
  request.capture =
      sandbox::Capture{.method = "guest", .consistency = "stopped", .crash = report_.crash};
  TRY_ASSIGN(request.terms, terms());
  TRY_ASSIGN(const Fd hangup, make_hangup());
  std::vector<int> fds{line_->fd(), spool_.get(), log_->fd(), hangup.get()};
  if (key_) {
    fds.push_back(key_.get());
  }
  if (output_) {
    fds.push_back(output_->fd());
  }
  TRY_ASSIGN(sandbox::Worker worker, start_worker());
  TRY(worker.request(request, fds));
  is_read_ = true;
  const OnProgress forward = writing_back(on_progress_, output_);
  return follow_worker(worker, {.on_progress =
                                    [&](const sandbox::Event& event) {
                                      take(event);
                                      forward(event);
                                    },
                                .on_source_read = [&]() -> Result<> {
                                  line_->close();
                                  worker.cost({});
                                  return {};
                                },
                                .cancel = interrupt_.fd(),
                                .on_cancel = [&] { return hang_up(); }});
}

// Whoever connected was no guest of ours: nothing came that it could open.
bool Reception::is_stray() const {
  return line_->takes_callers() && is_read_ && !report_.hello && !report_.interrupted;
}

Result<DumpResult> Reception::run() {
  TRY(open_key());
  TRY_ASSIGN(line_, AwaitedLine::open(options_.from, options_.guest, options_.wait));
  report_.name = line_->name();
  interrupt_.arm();
  be_killed_first();
  // A guest is crashed only when there is where to write; a name that is made tells when it did.
  const bool early = options_.crash || (!options_.output.empty() && options_.output != "-");
  if (early) {
    TRY(open_files());
  }
  if (options_.crash) {
    TRY(options_.crash());
    report_.crash = "ordered";
    on_report_(report_);
  }
  TRY(open_witness());
  TRY(await_line());
  if (!early) {
    TRY(open_files());
  }
  auto done = take_stream();
  while (!done && is_stray()) {
    report_.stray = done.error().message;
    on_report_(report_);
    line_->close();
    is_read_ = false;
    TRY(await_line());
    TRY(open_files());  // the stray's worker had those
    done = take_stream();
  }
  if (!done && report_.interrupted) {
    done.error().code = Errc::cancelled;
  }
  if (!done) {
    return in_context(std::move(done).error(), report_.name);
  }
  DumpResult result{.done = *std::move(done), .path = {}, .size_bytes = 0};
  TRY(check_strict(options_.dump, result));
  if (output_) {
    TRY(output_->keep(result));
  }
  return result;
}

}  // namespace

ReceiveResult receive(const ReceiveOptions& options, Interrupt& interrupt,
                      const OnReport& on_report, const OnProgress& on_progress) {
  ReceiveReport report;
  auto dump = Reception(options, report, on_report, on_progress, interrupt).run();
  return {std::move(dump), std::move(report)};
}

}  // namespace vmcore::job
