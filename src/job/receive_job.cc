// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/receive_job.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "src/acquire/crash/guest_line.h"
#include "src/job/awaited_line.h"
#include "src/job/caller_trials.h"
#include "src/job/guest_lock.h"
#include "src/job/run_worker.h"
#include "src/job/stream_reading.h"
#include "src/seal/key.h"

namespace vmcore::job {
namespace {

constexpr const char* kDoing = "receives what the guest sends";

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
  Result<> open_line();
  std::string line_as_given() const;
  Result<> open_watcher();
  Result<> await(std::span<const int> also = {}, std::chrono::milliseconds at_most = {});
  Result<StreamFiles> files_for(const std::string& name);
  Result<StreamReading> begin(std::string name, Fd line);
  Result<StreamReading> read_line();
  Result<StreamReading> choose_caller();
  Result<sandbox::Done> follow(StreamReading& reading, const OnProgress& on_event);
  void begin_stream(const sandbox::Hello& hello);
  void take(const sandbox::Event& event);
  void keep_log();
  bool hang_up(Fd& hangup);
  std::string whom_it_waits_for() const;

  const ReceiveOptions& options_;
  ReceiveReport& report_;
  const OnReport& on_report_;
  const OnProgress& on_progress_;
  Interrupt& interrupt_;
  std::optional<AwaitedLine> line_;
  GuestLock line_lock_;
  GuestLock guest_lock_;
  std::optional<StreamFiles> early_;     // opened before anything was waited for
  staging::StagedFile* log_ = nullptr;   // of what is read
  Fd key_;                               // of a sealed stream
  std::optional<sandbox::Hello> hello_;  // of a caller, by which it was known for a guest
  std::vector<Remark> remarks_;
};

// A file that is no key is refused before anything is waited for. The worker reads the file again.
Result<> Reception::open_key() {
  if (options_.key.empty()) {
    return acquire::is_tcp(options_.from)
               ? fail(Errc::invalid,
                      "over TCP only sealed streams are accepted: make a key (vmcorectl key FILE), "
                      "give its public half to the guest (encrypt-to), and give --key FILE here")
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

// Others may dump the guest while this waits, but nobody else may read the line.
Result<> Reception::open_line() {
  TRY_ASSIGN(line_, AwaitedLine::open(options_.from, options_.guest, options_.wait));
  report_.name = line_->name();
  auto lock = lock_guest(line_->line().keys, kDoing, remarks_);
  if (!lock) {
    return in_context(std::move(lock).error(), report_.name);
  }
  line_lock_ = *std::move(lock);
  return acquire::check_alone(line_->line());
}

// Watches the monitor that was named. A job that crashes the guest itself does not need it.
Result<> Reception::open_watcher() {
  if (options_.guest.socket.empty()) {
    return {};
  }
  auto watched = line_->watch(options_.guest);
  return options_.crash ? Result<>() : watched;
}

Result<> Reception::await(std::span<const int> also, std::chrono::milliseconds at_most) {
  Result<> came = line_->await(interrupt_.fd(), also, at_most);
  report_.interrupted = !came && came.error().code == Errc::cancelled;
  return came;
}

Result<StreamFiles> Reception::files_for(const std::string& name) {
  if (early_) {
    StreamFiles files = std::move(*early_);
    early_.reset();
    return files;
  }
  return open_stream_files(options_, name);
}

Result<StreamReading> Reception::begin(std::string name, Fd line) {
  const bool ordered = report_.crash == "ordered";
  const char* const crash = ordered ? "ordered" : line_->saw_crash() ? "event" : "claim";
  TRY_ASSIGN(StreamFiles files, files_for(name));
  return begin_reading(options_,
                       {.name = std::move(name),
                        .line = std::move(line),
                        .crash = crash,
                        .memory = line_->memory(),
                        .patience = line_->patience()},
                       std::move(files), key_.get());
}

Result<StreamReading> Reception::read_line() {
  TRY(await());
  return begin(line_->name(), line_->take());
}

// The first client that begins a stream is the guest; all others are disconnected.
Result<StreamReading> Reception::choose_caller() {
  CallerTrials trials(
      [&](acquire::Caller caller) { return begin(std::move(caller.name), std::move(caller.fd)); });
  const auto told = [&](const CallerTrials::Stray& stray) {
    report_.name = stray.name;
    report_.stray = stray.why.message;
    on_report_(report_);
  };
  while (true) {
    TRY_ASSIGN(const bool some_wait, trials.take(*line_->callers()));
    if (auto winner = trials.look(told)) {
      line_->stop_listening();
      report_.name = winner->reading.name;
      hello_ = winner->hello;
      return std::move(winner->reading);
    }
    TRY(await(trials.fds(), some_wait ? CallerTrials::kLeast : std::chrono::milliseconds(0)));
  }
}

void Reception::keep_log() {
  auto kept = log_->commit();
  log_ = nullptr;
  if (!kept) {
    report_.log_error = std::move(kept).error();
    return;
  }
  report_.log = std::move(kept->path);
  if (kept->doubt) {
    report_.log_error = Error{kept->doubt->code, kept->doubt->text};
  }
}

// The stream is received even if another process holds the guest.
void Reception::begin_stream(const sandbox::Hello& hello) {
  report_.hello = hello;
  line_->stop_watching();  // a monitor is held no longer
  key_.reset();            // nor what would open other streams
  std::vector<Remark> ignored;
  if (auto lock = lock_guest(line_->line().guest_keys, kDoing, ignored)) {
    guest_lock_ = *std::move(lock);
  }
  on_report_(report_);
}

void Reception::take(const sandbox::Event& event) {
  if (const auto* hello = std::get_if<sandbox::Hello>(&event)) {
    begin_stream(*hello);
  } else if (const auto* read = std::get_if<sandbox::LogRead>(&event); read && log_ != nullptr) {
    report_.panic = read->panic;
    if (read->bytes != 0) {
      keep_log();
    }
    on_report_(report_);
  }
}

// Ends the line at the first interruption. False at the second one, which ends the job.
bool Reception::hang_up(Fd& hangup) {
  if (std::exchange(report_.interrupted, true)) {
    return false;
  }
  interrupt_.rearm();
  hangup.reset();
  on_report_(report_);
  return true;
}

Result<sandbox::Done> Reception::follow(StreamReading& reading, const OnProgress& on_event) {
  return follow_worker(reading.worker, {.on_progress = on_event,
                                        .on_source_read = [&]() -> Result<> {
                                          reading.line.reset();
                                          reading.worker.cost({});
                                          return {};
                                        },
                                        .cancel = interrupt_.fd(),
                                        .on_cancel = [&] { return hang_up(reading.hangup); }});
}

// A file brings its stream at once.
std::string Reception::whom_it_waits_for() const {
  const acquire::GuestLine& line = line_->line();
  const std::string limit =
      options_.wait.count() != 0 ? fmt::format(", for at most {} s", options_.wait.count()) : "";
  if (line.listener) {
    return fmt::format("a guest that connects ({}){}", options_.from, limit);
  }
  return line.socket.empty()
             ? ""
             : fmt::format("the guest's capture kernel, on {}{}", line.socket.string(), limit);
}

// A file or socket by its path, of which its guest's name is a part.
std::string Reception::line_as_given() const {
  const bool is_part = std::filesystem::path(options_.from).stem() == report_.name;
  return is_part ? options_.from : report_.name;
}

Result<DumpResult> Reception::run() {
  TRY(open_key());
  TRY(open_line());
  interrupt_.arm();
  // A guest is crashed only if its dump can be written. A name that we make up has the time of the
  // crash, so such a file is created later.
  if (options_.crash || (options_.output.has_filename() && options_.output != "-")) {
    TRY_ASSIGN(StreamFiles files, open_stream_files(options_, report_.name));
    early_.emplace(std::move(files));
  }
  if (options_.crash) {
    TRY(options_.crash());
    report_.crash = "ordered";
    on_report_(report_);
  }
  TRY(open_watcher());
  const bool many = line_->callers() != nullptr;
  report_.waits_for = whom_it_waits_for();
  on_report_(report_);
  TRY_ASSIGN(StreamReading reading, many ? choose_caller() : read_line());
  std::optional<Output>& output = reading.files.output;
  log_ = &*reading.files.log;
  report_.crash = reading.crash;
  const OnProgress forward = writing_back(on_progress_, output);
  const auto on_event = [&](const sandbox::Event& event) {
    take(event);
    forward(event);
  };
  if (hello_) {
    on_event(*hello_);
  }
  auto done = follow(reading, on_event);
  if (!done && report_.interrupted) {
    done.error().code = Errc::cancelled;
  }
  if (!done) {
    return in_context(std::move(done).error(), line_as_given());
  }
  std::vector<Remark>& remarks = done->summary.remarks;
  remarks.insert(remarks.end(), remarks_.begin(), remarks_.end());
  DumpResult result{.summary = std::move(done->summary)};
  TRY(check_strict(options_.dump, result));
  if (output) {
    TRY(output->keep(result));
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
