// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <memory>
#include <sstream>

#include "src/base/utc.h"
#include "src/cli/debuginfo_options.h"
#include "src/cli/document.h"
#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/debuginfo/report_lines.h"
#include "src/job/interrupt.h"
#include "src/job/output.h"
#include "src/report/memory.h"
#include "src/report/panic_stack.h"
#include "src/report/triage.h"
#include "src/show/debuginfo_text.h"
#include "src/show/memory_picture.h"
#include "src/show/triage_page.h"
#include "src/show/triage_text.h"

namespace vmcore::cli {
namespace {

struct Options {
  GuestOptions source;
  std::string log;  // a file, or "-"
  bool full = false;
  bool symbols = false;
  DebuginfoOptions debuginfo;
  std::string html;  // a file, or "-"
  bool force = false;
};

job::PausedText read(const Options& options, job::Interrupt& interrupt) {
  if (!options.log.empty()) {
    return {job::read_log(options.log), {}};
  }
  const auto operation = !options.html.empty() ? sandbox::Operation::page
                         : options.symbols     ? sandbox::Operation::symbols
                                               : sandbox::Operation::report;
  return read_source(options.source, operation, interrupt);
}

// The documents of a worker's answer, of which only the first one is always there.
struct Documents {
  std::string report, memory, stack;
};

Documents documents_of(const std::string& text) {
  Documents documents;
  std::istringstream parts(text);
  for (std::string* const part : {&documents.report, &documents.memory, &documents.stack}) {
    std::getline(parts, *part, '\0');
  }
  return documents;
}

// `document`: what the worker found out about memory, or why it did not.
Result<std::string> draw_picture(const std::string& document, const std::string& name) {
  if (!document.starts_with('{')) {
    return fail(Errc::not_found, "{}",
                document.empty() ? "a log has none" : document.substr(0, 400));
  }
  TRY_ASSIGN(const report::MemoryReport memory, report::memory_from_json(document));
  return show::draw_memory(memory, {name, utc_text(std::time(nullptr))});
}

// What debug information says of the stacks; a Remark where there is none.
void add_symbols(report::TriageReport& report, const std::string& stack_document,
                 const Options& options, const Common& common) {
  const auto kernel = wanted_kernel(report, {});
  const auto found = kernel ? find_debuginfo(*kernel, options.debuginfo, common.quiet)
                            : tl::unexpected(kernel.error());
  if (!found) {
    report.remarks.push_back({found.error().code, "--symbols: " + found.error().message});
    return;
  }
  const auto stack =
      stack_document.empty() ? report::PanicStack() : report::panic_stack_from_json(stack_document);
  if (!stack) {
    report.remarks.push_back({stack.error().code, "--symbols: " + stack.error().message});
  }
  debuginfo::add_lines(report, stack.value_or(report::PanicStack()), *found);
  for (const Remark& each : found->remarks) {
    report.remarks.push_back({each.code, "--symbols: " + each.text, each.severity});
  }
  if (!found->vmlinux && !found->refused.empty()) {
    const report::DebugFileRefused& first = found->refused.front();
    report.remarks.push_back({Errc::invalid, "--symbols: " + first.path + " " + first.why});
  }
  if (!found->vmlinux && found->advice) {
    report.remarks.push_back({Errc::not_found, "--symbols: " + show::advice_line(*found->advice)});
  }
}

int run(const Options& options, const Common& common) {
  job::Interrupt interrupt(kExitInterrupted);
  const job::PausedText read = cli::read(options, interrupt);
  const Result<job::TextResult>& result = read.text;
  if (!result) {
    return report_pause(read, report_error(result.error(), common), common);
  }
  const Documents documents = documents_of(result->text);
  Result<report::TriageReport> report = report::triage_from_json(documents.report);
  if (!report) {
    return report_pause(
        read, report_error(in_context(report.error(), "vmcore-worker's answer").value(), common),
        common);
  }
  if (options.symbols) {
    add_symbols(*report, documents.stack, options, common);
  }
  int code = report->kernel.value && !report->incomplete ? kExitDone : kExitNotAsAsked;
  if (!options.html.empty()) {
    const std::string page =
        show::triage_page(*report, {result->name, utc_text(std::time(nullptr))},
                          draw_picture(documents.memory, result->name));
    const auto written = write_document(page, options.html, options.force, common);
    if (!written) {
      return report_pause(read, report_error(written.error(), common), common);
    }
    code = std::max(code, *written);
  }
  if (common.json) {
    std::fputs(report::to_json(*report).c_str(), stdout);
  } else if (options.html.empty()) {
    std::fputs(show::triage_screen(*report, result->name).c_str(), stdout);
    if (options.full) {
      std::fputs(show::triage_details(*report).c_str(), stdout);
    }
    if (!common.quiet) {
      print_remarks(report->remarks);
    }
  }
  return report_pause(read, code, common);
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
  CLI::Option* const symbols = command.add_flag(
      "--symbols", options->symbols,
      "Add files, lines, inlined functions and arguments to the stacks, where debug information of "
      "the kernel is found");
  add_debuginfo_options(command, options->debuginfo);
  for (const char* const one : {"--from", "--fetch", "--cache"}) {
    command.get_option(one)->needs(symbols);
  }
  command.add_option(
      "--html", options->html,
      "Write one HTML page, with all of --full, into this file; - is standard output");
  command.add_flag("--force", options->force, "Replace an existing page");
  return [options, &common] {
    options->html = job::resolved_output(options->html);
    return clashes_with_json(options->html, "report", "--html", common)
               ? static_cast<int>(kExitUsage)
               : run(*options, common);
  };
}

}  // namespace vmcore::cli
