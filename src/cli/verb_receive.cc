#include <memory>
#include <string>

#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/progress.h"
#include "src/cli/receive_report.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/job/output.h"
#include "src/job/receive_job.h"

namespace vmcore::cli {
namespace {

struct Options {
  job::ReceiveOptions job;
  std::string uri;
  std::string monitor;
  std::string output;
  std::string spool;
  std::string key;
  bool by_id = false;
  bool by_name = false;
  unsigned wait = 0;
  unsigned idle = 60;
  unsigned deadline = 3600;
  std::uint64_t memory = 0;
  std::uint64_t most = 0;
};

int run(Options& options, const Common& common) {
  options.job.guest.uri = options.uri;
  options.job.guest.socket = options.monitor;
  options.job.guest.look_up = options.by_id     ? acquire::LookUp::id
                              : options.by_name ? acquire::LookUp::name
                                                : acquire::LookUp::any;
  options.job.output = job::resolved_output(options.output);
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
  job::Interrupt interrupt(kExitInterrupted);
  ReceiveTelling telling(common.quiet);
  const job::ReceiveResult result = [&] {
    ProgressLine progress(common.quiet);
    return job::receive(
        options.job, interrupt, [&](const job::ReceiveReport& report) { telling.tell(report); },
        progress.callback());
  }();
  return tell_received(result, {.to_stdout = options.job.output == "-"}, common);
}

}  // namespace

Run add_receive(CLI::App& command, const Common& common) {
  constexpr unsigned kLongest = 365 * 86400;
  const auto options = std::make_shared<Options>();
  command
      .add_option("FROM", options->job.from,
                  "A libvirt domain; the UNIX socket of its channel; vsock:[PORT]; "
                  "tcp:[ADDRESS:]PORT; a file or disk that holds a stream; - is standard input")
      ->required();
  command.add_option("-c,--connect", options->uri, "libvirt's URI; default LIBVIRT_DEFAULT_URI");
  CLI::Option* by_id = command.add_flag("--id", options->by_id, "FROM is a domain's id");
  command.add_flag("--name", options->by_name, "FROM is a domain's name")->excludes(by_id);
  command.add_option(
      "--qmp", options->monitor,
      "The guest's QMP socket, to hear from QEMU that it crashed; a domain needs none");
  command.add_option("-o,--file", options->output,
                     "The dump to write; - is standard output; default NAME-TIME.vmcore");
  command.add_option("--wait", options->wait, "Seconds until the guest must begin; 0: for ever")
      ->check(CLI::Range(0U, kLongest))
      ->capture_default_str();
  command
      .add_option("--idle", options->idle,
                  "Seconds of silence after which what came is kept; 0: for ever")
      ->check(CLI::Range(0U, kLongest))
      ->capture_default_str();
  command
      .add_option("--deadline", options->deadline,
                  "Seconds from its begin after which what came is kept; 0: none")
      ->check(CLI::Range(0U, kLongest))
      ->capture_default_str();
  command.add_option("--key", options->key,
                     "The file of the secret key that the stream is sealed to (vmcorectl key)");
  command
      .add_option("--memory", options->memory,
                  "The RAM that the guest has at most (4G); of a domain it is known")
      ->transform(CLI::AsSizeValue(false));
  command
      .add_option("--max-size", options->most,
                  "Memory of the guest that is taken at most (2G); what is beyond is lost")
      ->transform(CLI::AsSizeValue(false));
  add_dump_options(command, options->job.dump);
  command.add_flag("--dry-run", options->job.dump.how.dry_run,
                   "Say what would be kept, and keep the kernel log only");
  command.add_option("--spool", options->spool,
                     "A folder with room for the pages; default that of the output");
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
