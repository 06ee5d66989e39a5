// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <ctime>
#include <memory>
#include <string>

#include "src/base/utc.h"
#include "src/cli/document.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/job/output.h"
#include "src/report/memory.h"
#include "src/show/memory_picture.h"
#include "src/show/memory_text.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions source;
  std::string svg;
  bool force = false;
};

int run(const Options& options, const Common& common) {
  const GuestOptions& source = options.source;
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(source, sandbox::Operation::memory, interrupt);
  const Result<job::TextResult>& answer = read.text;
  if (!answer) {
    return report_pause(read, report_error(answer.error(), common), common);
  }
  const Result<report::MemoryReport> report = report::memory_from_json(answer->text);
  if (!report) {
    return report_pause(
        read, report_error(in_context(report.error(), "vmcore-worker's answer").value(), common),
        common);
  }
  int code = kExitDone;
  if (!options.svg.empty()) {
    const auto written =
        write_document(show::draw_memory(*report, {answer->name, utc_text(std::time(nullptr))}),
                       options.svg, options.force, common);
    if (!written) {
      return report_error(written.error(), common);
    }
    code = *written;
  }
  if (common.json) {
    std::fputs(report::to_json(*report).c_str(), stdout);
  } else if (!common.quiet && options.svg != "-") {
    std::fputs(show::memory_text(*report).c_str(), stdout);
  }
  return report_pause(read, code, common);
}

}  // namespace

Run add_memory(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_source_options(command, options->source);
  command.add_option("--svg", options->svg,
                     "Draw memory by address into this file; - is standard output");
  command.add_flag("--force", options->force, "Replace an existing picture");
  return [options, &common] {
    options->svg = job::resolved_output(options->svg);
    return clashes_with_json(options->svg, "memory", "--svg", common) ? static_cast<int>(kExitUsage)
                                                                      : run(*options, common);
  };
}

}  // namespace vmcore::cli
