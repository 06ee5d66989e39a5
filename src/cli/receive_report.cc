// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/receive_report.h"

#include <cstdio>
#include <string>

#include "src/base/units.h"
#include "src/cli/dump_options.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/reports.h"
#include "src/show/dump_text.h"

namespace vmcore::cli {
namespace {

void say(const job::ReceiveReport& report, const std::string& text) {
  fmt::print(stderr, "vmcorectl: {}\n", printable(report.name + ": " + text));
}

std::string document(const job::ReceiveResult& result, const ToldReception& told) {
  report::ReceiveReport report = job::report_of(result);
  report.kept = told.kept;
  return report::to_json(report);
}

int print_failure(const job::ReceiveResult& result, const ToldReception& told,
                  const Common& common) {
  const Error& error = result.dump.error();
  if (common.json) {
    std::fputs(document(result, told).c_str(), stdout);
  }
  const int code = report_error(error);
  // All that was offered is kept.
  return result.report.hello && result.report.hello->pstore && !result.report.log.empty()
             ? kExitNotAsAsked
             : code;
}

void print_success(const job::ReceiveResult& result, const ToldReception& told,
                   const Common& common) {
  // Standard output may be the dump itself: what is said about it goes beside.
  std::FILE* const to = told.to_stdout ? stderr : stdout;
  common.kept = !result.dump->path.empty();
  if (common.json) {
    std::fputs(document(result, told).c_str(), to);
  } else if (!common.quiet) {
    std::fputs(show::dump_text(job::dump_file(*result.dump)).c_str(), to);
    print_remarks(result.dump->summary.remarks);
  }
}

}  // namespace

void ReceiveTelling::tell(const job::ReceiveReport& report) {
  if (quiet_) {
    return;
  }
  if (!told_order_ && report.crash == "ordered") {
    told_order_ = true;
    say(report, report.can_send ? "the guest was told to crash; waiting for its capture kernel"
                                : "the guest was told to crash; waiting until it has crashed");
  }
  if (!told_waiting_ && !told_order_ && !report.waits_for.empty()) {
    told_waiting_ = true;
    say(report, "waiting for " + report.waits_for);
  }
  if (report.stray != told_stray_) {
    told_stray_ = report.stray;
    say(report, report.stray + "; waiting for another");
  }
  if (!told_hello_ && report.hello && report.hello->pstore) {
    told_hello_ = true;
    say(report, "the guest did not crash; it sends the log of an earlier crash that pstore kept");
  }
  if (!told_hello_ && report.hello) {
    told_hello_ = true;
    say(report, fmt::format("its capture kernel sends a dump of {}{}{}{}",
                            human_size(report.hello->ram_bytes),
                            report.hello->release.empty() ? "" : ", Linux " + report.hello->release,
                            report.hello->tag.empty() ? "" : ", tag " + report.hello->tag,
                            report.crash == "event" ? "; QEMU saw it crash" : ""));
  }
  if (!told_panic_ && !report.panic.empty()) {
    told_panic_ = true;
    say(report, report.panic);
  }
  if (!told_log_ && !report.log.empty()) {
    told_log_ = true;
    say(report, "its kernel log is " + report.log.string());
  }
  if (!told_interrupted_ && report.interrupted) {
    told_interrupted_ = true;
    say(report, "interrupted: keeping what has arrived; a second interruption discards it");
  }
}

int tell_received(const job::ReceiveResult& result, const ToldReception& told,
                  const Common& common) {
  if (result.report.log_error) {
    report_error(*result.report.log_error);
  }
  if (!result.dump) {
    return print_failure(result, told, common);
  }
  print_success(result, told, common);
  return exit_code_of(*result.dump);
}

}  // namespace vmcore::cli
