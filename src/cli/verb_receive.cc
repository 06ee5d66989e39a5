#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "src/cli/dump_options.h"
#include "src/cli/exit_code.h"
#include "src/cli/guest_options.h"
#include "src/cli/progress.h"
#include "src/cli/report_error.h"
#include "src/cli/verb.h"
#include "src/job/receive_job.h"

namespace vmcore::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  job::ReceiveOptions job;
  std::string uri;
  std::string output;
  std::string spool;
  bool by_id = false;
  bool by_name = false;
  unsigned wait = 0;
  unsigned idle = 60;
  unsigned deadline = 3600;
  std::uint64_t memory = 0;
};

Json report_json(const job::ReceiveReport& report) {
  Json json{{"name", report.name}};
  if (report.hello) {
    json["release"] = report.hello->release;
    json["tag"] = report.hello->tag;
    json["memory"] = report.hello->ram_bytes;
  }
  json["panic"] = report.panic.empty() ? Json() : Json(report.panic);
  json["log"] = report.log.empty() ? Json() : Json(report.log.string());
  return json;
}

// While it comes: what is known already, on standard error.
class Telling {
 public:
  explicit Telling(bool quiet) : quiet_(quiet) {}

  void tell(const job::ReceiveReport& report) {
    if (quiet_) {
      return;
    }
    if (!told_hello_ && report.hello) {
      told_hello_ = true;
      say(report,
          fmt::format("its capture kernel sends a dump of {}{}{}",
                      human_size(report.hello->ram_bytes),
                      report.hello->release.empty() ? "" : ", Linux " + report.hello->release,
                      report.hello->tag.empty() ? "" : ", tag " + report.hello->tag));
    }
    if (!told_panic_ && !report.panic.empty()) {
      told_panic_ = true;
      say(report, report.panic);
    }
    if (!told_log_ && !report.log.empty()) {
      told_log_ = true;
      say(report, "its kernel log is " + report.log.string());
    }
  }

 private:
  static void say(const job::ReceiveReport& report, const std::string& text) {
    fmt::print(stderr, "vmcorectl: {}\n", printable(report.name + ": " + text));
  }

  bool quiet_;
  bool told_hello_ = false;
  bool told_panic_ = false;
  bool told_log_ = false;
};

int print_failure(const job::ReceiveResult& result, const Common& common) {
  const Error& error = result.dump.error();
  if (common.json) {
    const Json json{{"error", {{"code", errc_name(error.code)}, {"text", error.message}}},
                    {"guest", report_json(result.report)}};
    fmt::print("{}\n", json.dump(2, ' ', true, Json::error_handler_t::replace));
  }
  return report_error(error);
}

void print_success(const job::ReceiveResult& result, const Options& options, const Common& common) {
  // Standard output may be the dump itself: what is said about it goes beside.
  std::FILE* const to = options.output == "-" ? stderr : stdout;
  if (common.json) {
    const Json extra{{"guest", report_json(result.report)}};
    const std::string text = extra.dump(-1, ' ', false, Json::error_handler_t::replace);
    std::fputs(result_json(*result.dump, options.job.dump.dry_run, text).c_str(), to);
  } else if (!common.quiet) {
    std::fputs(describe_result(*result.dump, options.job.dump.dry_run).c_str(), to);
    print_remarks(result.dump->done.remarks);
  }
}

int run(Options& options, const Common& common) {
  options.job.guest.uri = options.uri;
  options.job.guest.look_up = options.by_id     ? acquire::LookUp::id
                              : options.by_name ? acquire::LookUp::name
                                                : acquire::LookUp::any;
  options.job.output = options.output;
  options.job.spool = options.spool;
  options.job.wait = std::chrono::seconds(options.wait);
  options.job.idle = std::chrono::seconds(options.idle);
  options.job.deadline = std::chrono::seconds(options.deadline);
  if (options.memory != 0) {
    options.job.memory = options.memory;
  }
  job::Interrupt interrupt(kExitInterrupted);
  Telling telling(common.quiet);
  const job::ReceiveResult result = [&] {
    ProgressLine progress(common.quiet);
    return job::receive(
        options.job, interrupt, [&](const job::ReceiveReport& report) { telling.tell(report); },
        progress.callback());
  }();
  if (result.report.log_error) {
    report_error(*result.report.log_error);
  }
  if (!result.dump) {
    return print_failure(result, common);
  }
  print_success(result, options, common);
  return exit_code_of(*result.dump);
}

}  // namespace

Run add_receive(CLI::App& command, const Common& common) {
  constexpr unsigned kLongest = 365 * 86400;
  const auto options = std::make_shared<Options>();
  command
      .add_option("FROM", options->job.from,
                  "A libvirt domain; the UNIX socket of its channel; vsock:[PORT]; a file or disk "
                  "that holds a stream; - is standard input")
      ->required();
  command.add_option("-c,--connect", options->uri, "libvirt's URI; default LIBVIRT_DEFAULT_URI");
  CLI::Option* by_id = command.add_flag("--id", options->by_id, "FROM is a domain's id");
  command.add_flag("--name", options->by_name, "FROM is a domain's name")->excludes(by_id);
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
  command
      .add_option("--memory", options->memory,
                  "The RAM that the guest has at most (4G); of a domain it is known")
      ->transform(CLI::AsSizeValue(false));
  add_dump_options(command, options->job.dump);
  command.add_flag("--dry-run", options->job.dump.dry_run,
                   "Say what would be kept, and keep the kernel log only");
  command.add_option("--spool", options->spool,
                     "A folder with room for the pages; default that of the output");
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
