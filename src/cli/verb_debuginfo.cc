// SPDX-License-Identifier: GPL-2.0-or-later
#include <cstdio>
#include <memory>
#include <optional>

#include "src/cli/debuginfo_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/report/triage.h"
#include "src/show/debuginfo_text.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions source;
  DebuginfoOptions debuginfo;
};

Result<report::DebuginfoReport> find(const report::TriageReport& report, const Options& options,
                                     const Common& common, job::Interrupt& interrupt) {
  std::optional<report::InfoReport> info;
  if (!report.kernel.value) {
    const auto text = read_source(options.source, sandbox::Operation::info, interrupt).text;
    const auto read = text ? report::info_from_json(text->text)
                           : Result<report::InfoReport>(tl::unexpected(text.error()));
    info = read ? std::optional(*read) : std::nullopt;
  }
  TRY_ASSIGN(const debuginfo::WantedKernel kernel, wanted_kernel(report, info));
  return find_debuginfo(kernel, options.debuginfo, common.quiet);
}

int tell(const report::DebuginfoReport& found, const Common& common) {
  std::fputs((common.json ? report::to_json(found) : show::debuginfo_text(found)).c_str(), stdout);
  if (!found.vmlinux) {
    return kExitFailed;
  }
  return found.is_complete() ? kExitDone : kExitNotAsAsked;
}

int run(const Options& options, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = read_source(options.source, sandbox::Operation::report, interrupt);
  if (!read.text) {
    return report_pause(read, report_error(read.text.error(), common), common);
  }
  const Result<report::TriageReport> report = report::triage_from_json(read.text->text);
  if (!report) {
    return report_pause(
        read, report_error(in_context(report.error(), "vmcore-worker's answer").value(), common),
        common);
  }
  const auto found = find(*report, options, common, interrupt);
  return report_pause(read, found ? tell(*found, common) : report_error(found.error(), common),
                      common);
}

}  // namespace

Run add_debuginfo(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  add_source_options(command, options->source);
  add_debuginfo_options(command, options->debuginfo);
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
