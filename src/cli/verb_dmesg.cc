// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>

#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/report/json.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions source;
  bool callers = false;
};

int run(const Options& options, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(
      options.source, options.callers ? sandbox::Operation::callers : sandbox::Operation::dmesg,
      interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  if (common.json) {
    const report::Json json{{"schema", "vmcorectl-dmesg/1"},
                            {"release", result->summary.release},
                            {"incomplete", result->summary.incomplete},
                            {"callers", result->summary.callers},
                            {"remarks", report::remarks_json(result->summary.remarks)},
                            {"log", result->text}};
    std::fputs(report::document_text(json).c_str(), stdout);
  } else {
    const std::string text = printable_lines(result->text);
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (!common.quiet) {
      print_remarks(result->summary.remarks);
    }
  }
  const bool all = !result->summary.incomplete && result->summary.callers == options.callers;
  return report_pause(read, all ? kExitDone : kExitNotAsAsked, common);
}

}  // namespace

Run add_dmesg(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_source_options(command, options->source);
  command.add_flag("--show-caller", options->callers,
                   "Show the thread (T1) or CPU (C2) that wrote each line");
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
