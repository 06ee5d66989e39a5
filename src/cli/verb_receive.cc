// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "src/base/process.h"
#include "src/cli/audit_trail.h"
#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/job_reporter.h"
#include "src/cli/keep.h"
#include "src/cli/progress.h"
#include "src/cli/receive_report.h"
#include "src/cli/size_option.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/output.h"
#include "src/job/receive_job.h"
#include "src/job/reports.h"

namespace vmcore::cli {
namespace {

struct Options {
  job::ReceiveOptions job;
  JobOptions service;
  std::string uri;
  std::string monitor;
  std::string output;
  std::string spool;
  std::string key;
  KeepChoice keep;
  bool by_id = false;
  bool by_name = false;
  unsigned wait = 0;
  unsigned idle = 60;
  unsigned deadline = 3600;
  std::uint64_t memory = 0;
  std::uint64_t most = 0;
};

// `keeping`: where the kernel log and its report go; null: the log has the place where it stays.
job::ReceiveResult receive(const job::ReceiveOptions& options, JobReporter& reporter,
                           const Common& common, Keeping* keeping) {
  job::Interrupt interrupt(kExitInterrupted);
  ReceiveTelling telling(common.quiet);
  ProgressLine progress(common.quiet, "received");
  bool has_report = false;
  const auto tell = [&](job::ReceiveReport report) {
    if (keeping != nullptr && !report.log.empty() && !std::exchange(has_report, true)) {
      reporter.tell(keeping->keep_log_report());
    }
    if (keeping != nullptr) {
      report.log.clear();
    }
    if (report.hello) {
      progress.expect(report.hello->ram_bytes);
    }
    telling.tell(report);
    reporter.tell(report);
  };
  return job::receive(options, interrupt, tell, reporter.callback(progress.callback()));
}

// The name of a guest as far as it is known before it sends: a domain, a socket, a file.
std::string guest_of(const std::string& from) {
  return from == "-" ? "" : std::filesystem::path(from).filename().string();
}

int receive_into_store(Options& options, JobReporter& reporter, const Common& common) {
  auto keeping = Keeping::begin(options.keep, {.name = guest_of(options.job.from)}, common);
  const Result<> room = keeping ? keeping->make_room() : tl::unexpected(keeping.error());
  if (!room) {
    const report::ReceiveReport report{.dump = tl::unexpected(room.error())};
    return reporter.end(report_error(room.error(), common), report::to_json(report));
  }
  options.job.output = keeping->output();
  job::ReceiveResult result = receive(options.job, reporter, common, &*keeping);
  keeping->finish(result.dump, result.report.crash);
  result.report.log = keeping->final_path(result.report.log);
  audit_received(job::report_of(result));
  const int code = tell_received(result, {.kept = keeping->id()}, common);
  if (!common.quiet && !common.json) {
    std::fputs(keeping->told().c_str(), stdout);
  }
  report::ReceiveReport report = job::report_of(result);
  report.kept = keeping->id();
  return reporter.end(code, report::to_json(report));
}

int receive_into_file(const Options& options, JobReporter& reporter, const Common& common) {
  const job::ReceiveResult result = receive(options.job, reporter, common, nullptr);
  audit_received(job::report_of(result));
  const int code = tell_received(result, {.to_stdout = options.job.output == "-"}, common);
  return reporter.end(code, report::to_json(job::report_of(result)));
}

int run(Options& options, const Common& common) {
  options.job.guest.uri = options.uri;
  options.job.guest.socket = options.monitor;
  options.job.guest.look_up = options.by_id     ? acquire::LookUp::id
                              : options.by_name ? acquire::LookUp::name
                                                : acquire::LookUp::any;
  options.job.output = job::dump_target(options.output);
  options.job.spool = options.spool;
  options.job.key = options.key;
  options.job.wait = std::chrono::seconds(options.wait);
  options.job.idle = std::chrono::seconds(options.idle);
  options.job.deadline = std::chrono::seconds(options.deadline);
  if (options.memory != 0) {
    options.job.memory = options.memory;
  }
  if (options.most != 0) {
    options.job.most = options.most;
  }
  auto reporter = JobReporter::open(options.service);
  if (!reporter) {
    report_error(reporter.error(), common);
    return kExitUsage;
  }
  options.job.guest.monitor = reporter->monitor();
  be_killed_first();
  return options.keep.keep ? receive_into_store(options, *reporter, common)
                           : receive_into_file(options, *reporter, common);
}

}  // namespace

Run add_receive(CLI::App& command, const Common& common) {
  constexpr unsigned kLongest = 365 * 86400;
  const auto options = std::make_shared<Options>();
  command
      .add_option("FROM", options->job.from,
                  "A libvirt domain; the UNIX socket of a guest's channel; vsock:[PORT]; "
                  "tcp:[ADDRESS:]PORT; a file or disk that holds a stream; - is standard input")
      ->required();
  command.add_option("-c,--connect", options->uri,
                     "The URI of libvirt; default: LIBVIRT_DEFAULT_URI");
  CLI::Option* by_id = command.add_flag("--id", options->by_id, "FROM is a domain's id");
  command.add_flag("--name", options->by_name, "FROM is a domain's name")->excludes(by_id);
  command.add_option(
      "--qmp", options->monitor,
      "The guest's QMP socket, to learn from QEMU that the guest crashed; not needed for a domain");
  command.add_option("-o,--file", options->output,
                     "The dump to write, or a folder for it; - is standard output; default: "
                     "NAME-TIME.vmcore");
  command
      .add_option("--wait", options->wait,
                  "Maximum time in seconds until the stream begins; 0: no limit")
      ->check(CLI::Range(0U, kLongest))
      ->capture_default_str();
  command
      .add_option("--idle", options->idle,
                  "Maximum silence of the stream in seconds; when it expires, what has arrived is "
                  "kept; 0: no limit")
      ->check(CLI::Range(0U, kLongest))
      ->capture_default_str();
  command
      .add_option("--deadline", options->deadline,
                  "Maximum duration of the stream in seconds; when it expires, what has arrived is "
                  "kept; 0: no limit")
      ->check(CLI::Range(0U, kLongest))
      ->capture_default_str();
  command.add_option("--key", options->key,
                     "The file of the secret key that the stream is sealed to (vmcorectl key)");
  takes_size(
      command.add_option("--memory", options->memory,
                         "The most RAM that the guest can have (4G); not needed for a domain"));
  takes_size(
      command.add_option("--max-size", options->most,
                         "The most guest memory that is accepted (2G); what exceeds it is lost"));
  add_dump_options(command, options->job.dump);
  command.add_flag("--dry-run", options->job.dump.how.dry_run,
                   "Print what would be kept, and keep only the kernel log");
  command.add_option("--spool", options->spool,
                     "A folder with room for the pages; default: the folder of the dump");
  add_keep_options(command, options->keep, {"--file", "--dry-run"});
  add_job_options(command, options->service, {});
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
