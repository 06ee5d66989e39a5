// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "src/base/process.h"
#include "src/cli/audit_trail.h"
#include "src/cli/crash_options.h"
#include "src/cli/dump_options.h"
#include "src/cli/dump_report.h"
#include "src/cli/far_end.h"
#include "src/cli/guest_options.h"
#include "src/cli/job_reporter.h"
#include "src/cli/keep.h"
#include "src/cli/progress.h"
#include "src/cli/self_check.h"
#include "src/cli/size_option.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/budget.h"
#include "src/job/dump_attempt.h"
#include "src/job/dump_job.h"
#include "src/job/dumped_crashes.h"
#include "src/job/interrupt.h"
#include "src/job/output.h"
#include "src/job/reports.h"

namespace vmcore::cli {
namespace {

using acquire::Then;

// Of a job for another vmcorectl that has its guest: whoever started the job acts on the guest when
// the job has ended.
constexpr std::chrono::seconds kLockPatience{60};

const std::map<std::string, Then> kThens{
    {"resume", Then::resume}, {"reset", Then::reset}, {"destroy", Then::destroy}};

const std::map<std::string, job::Consistency> kConsistencies{
    {"pause", job::Consistency::pause},
    {"torn", job::Consistency::torn},
    {"snapshot", job::Consistency::snapshot}};

struct Options {
  job::GuestDumpOptions job;
  GuestOptions guest;
  JobOptions service;
  std::optional<std::uint64_t> memory_budget;
  std::string method = "auto";
  std::string output;
  std::string spool;
  std::string then;
  std::string then_always;
  std::string trailer;
  std::string consistency = "pause";
  CrashChoice crash;
  KeepChoice keep;
  bool all_crashed = false;
  // The last dump that was complete, where it is a file.
  std::filesystem::path kept_as;
  bool found_stopped = false;  // its guest was
  bool self_check = false;

  const std::string& chosen_then() const { return then_always.empty() ? then : then_always; }
};

void choose(Options& options, acquire::Selection guest) {
  guest.allow_unbounded_pause = options.job.guest.allow_unbounded_pause;
  options.job.guest = std::move(guest);
  options.job.memory = options.memory_budget.value_or(job::whole_budget().memory);
  options.job.guest.method = acquire::method_from_name(options.method);
  options.job.output = job::dump_target(options.output);
  options.job.spool = options.spool;
  options.job.pause_limit = options.guest.longest_pause();
  options.job.lock_patience =
      options.service.report_fd >= 0 ? kLockPatience : std::chrono::seconds(0);
  options.job.consistency = kConsistencies.at(options.consistency);
  options.job.guest.allow_taint = options.guest.allow_taint;
  options.job.then_always = !options.then_always.empty();
  const std::string& then = options.chosen_then();
  options.job.then = then.empty() ? Then::nothing : kThens.at(then);
  if (!options.trailer.empty()) {
    options.job.confirm_kept = [&options] { return ask_whether_kept(options.trailer); };
  }
}

job::GuestDumpResult dump(const job::GuestDumpOptions& options, job::Interrupt& interrupt,
                          JobReporter& reporter, const Common& common) {
  ProgressLine progress(common.quiet);
  job::GuestDumpOptions job = options;
  job.on_pause = [&](const job::GuestReport& guest) {
    progress.expect(guest.memory_size);
    if (guest.pause) {
      progress.runs();
    } else {
      progress.paused(guest.name);
    }
  };
  return job::dump_guest(job, interrupt, reporter.callback(progress.callback()));
}

// Keeps the flash report, and waits until memory may be dumped. Returns whether it is dumped.
Result<bool> keep_flash(Options& options, Keeping& keeping, job::Interrupt& interrupt,
                        JobReporter& reporter) {
  interrupt.arm();
  acquire::Selection guest = options.job.guest;
  guest.spool_folder = job::spool_folder(options.job);
  TRY_ASSIGN(
      const job::FlashReading reading,
      job::read_flash(guest, options.job.dump.how.threads, keeping.guest_stops(), interrupt.fd()));
  reporter.tell(keeping.keep_flash(reading));
  options.job.opened = reading.opened;
  if (options.keep.go_fd >= 0) {
    TRY(await_go(options.keep.go_fd, interrupt.fd()));
  }
  return keeping.wants_memory();
}

// Nothing is done with the guest before its dump is in the store. No result: its memory is not
// dumped, on purpose.
std::optional<job::GuestDumpResult> dump_into_draft(Options& options, Keeping& keeping,
                                                    JobReporter& reporter, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  options.job.output = keeping.output();
  const Result<bool> wanted =
      options.keep.flash ? keep_flash(options, keeping, interrupt, reporter) : Result<bool>(true);
  if (wanted && !*wanted) {
    return std::nullopt;
  }
  const Result<> room = wanted ? keeping.make_room() : tl::unexpected(wanted.error());
  if (!room) {
    return job::GuestDumpResult{tl::unexpected(room.error()), {}};
  }
  job::GuestDumpOptions job = options.job;
  job.confirm_kept = [&] { return keeping.commit(); };
  if (options.job.on_memory_read) {
    job.on_memory_read = [&] {
      keeping.note_memory_read();
      options.job.on_memory_read();
    };
  }
  return dump(job, interrupt, reporter, common);
}

int tell_kept(const Keeping& keeping, const report::DumpReport& report, int code,
              const Common& common) {
  if (common.json) {
    std::fputs(report::to_json(report).c_str(), stdout);
  } else if (!common.quiet) {
    std::fputs(keeping.told().c_str(), stdout);
    if (!report.memory.empty()) {
      fmt::print("memory        {}\n", printable(report.memory));
    }
  }
  return code;
}

// Keeps the crash without its memory.
int finish_without_memory(Keeping& keeping, const Options& options, JobReporter& reporter,
                          const Common& common) {
  if (options.job.on_memory_read) {
    keeping.note_memory_read();
    options.job.on_memory_read();
  }
  const Result<> kept = keeping.finish_without_memory();
  const report::DumpReport report{
      .dump = kept ? Result<report::DumpFile>(report::DumpFile{.as_asked = true})
                   : tl::unexpected(kept.error()),
      .kept = keeping.id(),
      .memory = kept ? "not kept: " + keeping.memory_left_out() : ""};
  const int code = kept ? kExitDone : report_error(kept.error());
  common.kept = !report.kept.empty();
  return reporter.end(tell_kept(keeping, report, code, common), report::to_json(report));
}

// As vmcored names a guest of a folder: by the name that its socket has there.
vault::GuestKey key_of(const acquire::Selection& guest) {
  std::error_code error;
  const auto socket = std::filesystem::absolute(guest.socket, error);
  const auto folder = std::filesystem::weakly_canonical(socket.parent_path(), error);
  return {.name = guest.domain,
          .from = guest.socket.empty() ? "" : (folder / socket.filename()).string()};
}

// So that --all-crashed does not dump this crash again.
void note_dump(Options& options, const job::GuestDumpResult& result) {
  const bool is_complete = result.dump && !result.dump->summary.incomplete;
  options.kept_as = is_complete ? result.dump->path : std::filesystem::path();
  options.found_stopped = result.guest && !result.guest->before.running;
}

// Of a dump that was written, where that is wanted.
std::optional<report::SelfCheck> check_dump(const Options& options,
                                            const job::GuestDumpResult& result) {
  if (!options.self_check || !result.dump || result.dump->path.empty()) {
    return std::nullopt;
  }
  return self_check(result.dump->path.string(), {}, kSelfCheckLimits);
}

int dump_into_store(Options& options, JobReporter& reporter, const Common& common) {
  auto keeping = Keeping::begin(options.keep, key_of(options.job.guest), common);
  if (!keeping) {
    const report::DumpReport report{.dump = tl::unexpected(keeping.error())};
    return reporter.end(report_error(keeping.error(), common), report::to_json(report));
  }
  auto result = dump_into_draft(options, *keeping, reporter, common);
  if (!result) {
    return finish_without_memory(*keeping, options, reporter, common);
  }
  keeping->finish(result->dump);
  note_dump(options, *result);
  const std::string& then = options.chosen_then();
  if (const auto& guest = result->guest; guest && !then.empty()) {
    const std::string error = guest->then_error  ? guest->then_error->message
                              : result->withheld ? result->withheld->why
                                                 : "";
    keeping->record(then, guest->then_done, error);
  }
  const auto check = check_dump(options, *result);
  if (check) {
    keeping->record(*check);
  }
  const int code = tell_dump(*result, {then, false, keeping->id(), check}, common);
  if (!common.quiet && !common.json) {
    std::fputs(keeping->told().c_str(), stdout);
  }
  report::DumpReport report = job::report_of(*result, then);
  report.kept = keeping->id();
  report.self_check = check;
  audit_dump(report, options.job.guest);
  return reporter.end(code, report::to_json(report));
}

int dump_into_file(Options& options, JobReporter& reporter, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::GuestDumpResult result = dump(options.job, interrupt, reporter, common);
  const std::string& then = options.chosen_then();
  report::DumpReport report = job::report_of(result, then);
  note_dump(options, result);
  if (!options.job.dump.how.dry_run) {
    audit_dump(report, options.job.guest);
  }
  report.self_check = check_dump(options, result);
  const int code =
      tell_dump(result, {then, options.job.output == "-", {}, report.self_check}, common);
  return reporter.end(code, report::to_json(report));
}

// Whoever lent the monitor hears the guest again while its dump is compressed. What is still to be
// done with the guest needs the monitor.
std::function<void()> on_memory_read(const Options& options, JobReporter& reporter, Loan* loan) {
  if (loan != nullptr && options.chosen_then().empty()) {
    return [loan] { loan->give_back(); };
  }
  return reporter.on_memory_read();
}

int dump(Options& options, const Common& common, acquire::Selection guest, Loan* loan = nullptr) {
  choose(options, std::move(guest));
  auto reporter = JobReporter::open(options.service);
  if (!reporter) {
    report_error(reporter.error(), common);
    return kExitUsage;
  }
  if (auto lent = reporter->monitor()) {
    options.job.guest.monitor = std::move(lent);
  }
  options.job.on_memory_read = on_memory_read(options, *reporter, loan);
  return options.keep.keep ? dump_into_store(options, *reporter, common)
                           : dump_into_file(options, *reporter, common);
}

// One dump after another; what they come to. In JSON they are a list.
class Dumps {
 public:
  explicit Dumps(const Common& common) : common_(common) {}

  // Returns whether the next one may follow.
  bool add(const std::function<int()>& one) {
    if (common_.json) {
      std::fputs(std::exchange(before_, ",\n"), stdout);
    }
    code_ = worse_exit(code_, one());
    return code_ != kExitInterrupted;
  }
  int end() const {
    if (common_.json) {
      std::puts(*before_ == '[' ? "[]" : "]");
    }
    return code_;
  }

 private:
  const Common& common_;
  const char* before_ = "[\n";
  int code_ = kExitDone;
};

// The dump that there is of this crash already. Tells of it.
bool was_dumped(const Options& options, const job::CrashedGuest& guest,
                const Result<job::CrashMark>& mark, const Common& common) {
  const auto dump = mark && !options.job.dump.force
                        ? job::DumpedCrashes(acquire::ProcessNotes::of_user()).dump_of(*mark)
                        : std::nullopt;
  if (dump && !common.quiet) {
    fmt::print(
        stderr, "vmcorectl: note: {}\n",
        printable(fmt::format("{}: this crash was dumped already: {} (--force dumps it again)",
                              guest.guest.domain, dump->string())));
  }
  return dump.has_value();
}

int dump_crashed(Options& options, const Common& common, const job::CrashedGuest& guest,
                 const Result<job::CrashMark>& mark) {
  options.kept_as.clear();
  const int code =
      guest.doubt ? report_error(*guest.doubt, common) : dump(options, common, guest.guest);
  if (mark && !options.kept_as.empty()) {
    job::DumpedCrashes(acquire::ProcessNotes::of_user()).remember(*mark, options.kept_as);
  }
  return code;
}

int dump_all_crashed(Options& options, const Common& common) {
  const auto guests = job::crashed_guests(options.guest.uri);
  if (!guests) {
    return report_error(guests.error(), common);
  }
  if (guests->empty() && !common.quiet && !common.json) {
    std::puts("no domain has crashed");
  }
  Dumps dumps(common);
  for (const job::CrashedGuest& guest : *guests) {
    const auto mark = job::mark_of_crash(guest.guest);
    if (!was_dumped(options, guest, mark, common) &&
        !dumps.add([&] { return dump_crashed(options, common, guest, mark); })) {
      break;
    }
  }
  return dumps.end();
}

int dump_several(Options& options, const Common& common) {
  Dumps dumps(common);
  GuestOptions one = options.guest;
  for (const std::string& domain : options.guest.domains) {
    one.domain = domain;
    if (!dumps.add([&] { return dump(options, common, one.selection()); })) {
      break;
    }
  }
  return dumps.end();
}

// A guest that has crashed may be met by a later --all-crashed. A service has asked for its dump
// itself.
int dump_one(Options& options, const Common& common, const acquire::Selection& guest, Loan* loan) {
  const bool is_service = options.service.report_fd >= 0;
  const int code = dump(options, common, guest, loan);
  if (!is_service && !options.kept_as.empty() && options.chosen_then().empty() &&
      options.found_stopped && !guest.domain.empty()) {
    if (const auto mark = job::mark_of_crash(guest)) {
      job::DumpedCrashes(acquire::ProcessNotes::of_user()).remember(*mark, options.kept_as);
    }
  }
  return code;
}

// Why the command line makes no sense; empty: it does.
std::string misuse(const Options& options) {
  const std::size_t domains = options.guest.domains.size();
  const bool socket = !options.guest.socket.empty();
  if (domains != 0 && socket) {
    return "give DOMAINs or --qmp SOCKET";
  }
  if (domains == 0 && !socket && !options.all_crashed) {
    return "give DOMAINs, --qmp SOCKET or --all-crashed";
  }
  const bool one_output =
      !options.output.empty() && job::dump_target(options.output).has_filename();
  if ((domains > 1 || options.all_crashed) && one_output) {
    return "there may be several dumps: give -o a folder (FOLDER/)";
  }
  if (domains > 1 && (!options.crash.by.empty() || options.service.report_fd >= 0)) {
    return "give one DOMAIN with --crash-guest and --report-fd";
  }
  return "";
}

int run(Options& options, const Common& common) {
  if (const std::string why = misuse(options); !why.empty()) {
    fmt::print(stderr, "vmcorectl: dump: {}\n", why);
    return kExitUsage;
  }
  be_killed_first();
  if (options.guest.domains.size() > 1) {
    return dump_several(options, common);
  }
  if (!options.guest.domains.empty()) {
    options.guest.domain = options.guest.domains.front();
  }
  std::optional<Loan> loan;
  const bool is_job = options.service.monitor_fd >= 0;
  const auto guest = is_job ? options.guest.selection() : reach_guest(options.guest, loan);
  if (!guest) {
    return report_error(guest.error(), common);
  }
  if (loan && !common.quiet) {
    print_remarks({{Errc::busy, "vmcored holds this guest's monitor, and lends it for this dump",
                    Severity::fact}});
  }
  if (!options.crash.by.empty()) {
    choose(options, *guest);
    return crash_and_tell(options.crash, options.job, common);
  }
  return options.all_crashed ? dump_all_crashed(options, common)
                             : dump_one(options, common, *guest, loan ? &*loan : nullptr);
}

}  // namespace

Run add_dump(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_guests_options(command, options->guest, "Libvirt domains: name, UUID or id");
  command
      .add_option("--method", options->method,
                  "How to read guest memory; auto takes the first method that works")
      ->check(CLI::IsMember(acquire::method_names()))
      ->capture_default_str();
  command.add_option("-o,--file", options->output,
                     "The dump to write, or a folder for it; - is standard output; default: "
                     "DOMAIN-TIME.vmcore");
  add_dump_options(command, options->job.dump);
  CLI::Option* dry_run = command.add_flag(
      "--dry-run", options->job.dump.how.dry_run,
      "Print what would be kept, and for how long the guest would be paused, and do neither");
  CLI::Option* then =
      command
          .add_option("--then", options->then, "What to do with the guest after a complete dump")
          ->check(CLI::IsMember({"resume", "reset", "destroy"}));
  command
      .add_option("--then-always", options->then_always,
                  "In place of --then: do it even if the dump failed or is incomplete")
      ->check(CLI::IsMember({"resume", "reset", "destroy"}))
      ->excludes(then);
  command
      .add_option("--then-when-kept", options->trailer,
                  "Of --remote: the word that ends the dump on standard output, after which "
                  "vmcorectl asks whether the dump was kept")
      ->group("");
  command
      .add_option("--consistency", options->consistency,
                  "What a dump of a running guest shows. pause: one moment, the guest is paused "
                  "while it is read; torn: no single moment, the guest runs while it is read "
                  "(method direct); snapshot: one moment, the guest is paused for milliseconds")
      ->check(CLI::IsMember({"pause", "torn", "snapshot"}))
      ->capture_default_str();
  add_pause_limit(
      command, options->guest,
      "The longest pause of a running guest: 2s, 500ms, none. When it is over, the guest is "
      "resumed and the dump fails; if the pause would be longer, the guest is not paused at all");
  command.add_flag("--allow-unbounded-pause", options->job.guest.allow_unbounded_pause,
                   "Allow a pause until libvirt has written all of the guest's memory, if libvirt "
                   "cannot write into a pipe; and a snapshot on a disk, if memory is short");
  add_allow_taint(command, options->guest);
  command.add_option("--spool", options->spool,
                     "A folder with room for the guest's RAM; default: the folder of the dump");
  CLI::Option* all =
      command.add_flag("--all-crashed", options->all_crashed,
                       "Dump every domain whose guest panicked, unless that crash was dumped "
                       "already, into the current folder or that of -o");
  takes_size(command.add_option(
      "--memory-budget", options->memory_budget,
      "The most memory for a copy of what is kept, so that the guest need not wait for "
      "compression; default: a quarter of the available memory"));
  add_self_check_option(command, options->self_check);
  add_crash_options(command, options->crash);
  add_keep_options(command, options->keep, {"--file", "--crash-guest"});
  add_flash_options(command, options->keep, {"--then", "--then-always", "--all-crashed"});
  add_job_options(command, options->service,
                  {"--then", "--then-always", "--all-crashed", "--crash-guest"});
  for (const char* const one : {"DOMAIN", "--qmp", "--crash-guest"}) {
    all->excludes(command.get_option(one));
  }
  for (const char* const one :
       {"--then", "--then-always", "--crash-guest", "--keep", "--report-fd", "--self-check"}) {
    dry_run->excludes(command.get_option(one));
  }
  for (const char* const one : {"--then", "--then-always", "--consistency", "--self-check"}) {
    command.get_option("--crash-guest")->excludes(command.get_option(one));
  }
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
