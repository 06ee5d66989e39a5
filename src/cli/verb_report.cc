// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>

#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/triage_text.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/report/triage.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions source;
  std::string log;  // a file, or "-"
  bool full = false;
};

job::PausedText read(const Options& options, job::Interrupt& interrupt) {
  if (!options.log.empty()) {
    return {job::read_log(options.log), {}};
  }
  return read_source(options.source, sandbox::Operation::report, interrupt);
}

int run(const Options& options, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = cli::read(options, interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  const Result<report::TriageReport> report = report::triage_from_json(result->text);
  if (!report) {
    return report_pause(
        read, report_error(in_context(report.error(), "vmcore-worker's answer").value(), common),
        common);
  }
  if (common.json) {
    std::fputs(report::to_json(*report).c_str(), stdout);
  } else {
    std::fputs(triage_screen(*report, result->name).c_str(), stdout);
    if (options.full) {
      std::fputs(triage_details(*report).c_str(), stdout);
    }
    if (!common.quiet) {
      print_remarks(report->remarks);
    }
  }
  const bool all = report->kernel.value && !report->incomplete;
  return report_pause(read, all ? kExitDone : kExitNotAsAsked, common);
}

}  // namespace

Run add_report(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_source_options(command, options->source);
  CLI::Option* log = command.add_option(
      "--log", options->log,
      "The text of a kernel log or a console, in place of memory; - is standard input");
  for (const char* other :
       {"SOURCE", "--connect", "--id", "--name", "--qmp", "--allow-taint", "--pause"}) {
    log->excludes(command.get_option(other));
  }
  command.parse_complete_callback([options] {
    if (options->log.empty()) {
      check_source(options->source);
    }
  });
  command.add_flag("--full", options->full,
                   "Print all: registers and stacks of all CPUs and tasks, memory, mounts, log");
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
