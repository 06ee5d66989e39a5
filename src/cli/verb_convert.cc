// SPDX-License-Identifier: GPL-2.0-or-later
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "src/base/process.h"
#include "src/cli/dump_options.h"
#include "src/cli/progress.h"
#include "src/cli/self_check.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/interrupt.h"
#include "src/job/output.h"
#include "src/job/reports.h"
#include "src/show/dump_text.h"

namespace vmcore::cli {
namespace {

struct Options {
  std::string input;
  std::string output;
  StoreChoice store;
  bool is_crash = false;
  bool self_check = false;
  job::DumpOptions dump;
};

// The stored crash that IN names, which stays while it is read; nothing where it is a file.
Result<std::optional<vault::OpenCrash>> find_input(Options& options) {
  std::error_code error;
  const bool may_be_one =
      vault::Vault::is_name(options.input) && !std::filesystem::exists(options.input, error);
  if (!options.is_crash && !may_be_one) {
    return std::nullopt;
  }
  TRY_ASSIGN(vault::OpenCrash crash, open_crash(options.store, options.input));
  if (!crash.crash.manifest || !crash.crash.manifest->dump) {
    return fail(Errc::not_found, "{} has no memory", crash.crash.id);
  }
  options.input = crash.path + "/" + crash.crash.manifest->dump->file;
  return std::optional(std::move(crash));
}

int run(Options& options, const Common& common) {
  options.output = job::resolved_output(options.output);
  if (options.output.empty() && !options.dump.how.dry_run) {
    std::fputs("vmcorectl: convert: OUT is missing: give the dump to write, or --dry-run\n",
               stderr);
    return kExitUsage;
  }
  const auto crash = find_input(options);
  if (!crash) {
    return report_error(crash.error(), common);
  }
  be_killed_first();
  job::Interrupt interrupt(kExitInterrupted);
  if (options.output != "-") {
    interrupt.arm();  // where files cannot be unnamed, there is one to be removed
  }
  Result<job::DumpResult> result = [&] {
    ProgressLine progress(common.quiet);
    return job::convert_file(options.input, options.output, options.dump, progress.callback(),
                             interrupt.fd());
  }();
  if (!result) {
    return report_error(result.error(), common);
  }
  common.kept = !result->path.empty();
  report::DumpReport report{.dump = job::dump_file(*result)};
  if (options.self_check && common.kept) {
    report.self_check = self_check(result->path.string(), {}, kSelfCheckLimits);
  }
  // Standard output may be the dump itself: what is said about it goes beside.
  std::FILE* const to = options.output == "-" ? stderr : stdout;
  if (common.json) {
    std::fputs(report::to_json(report).c_str(), to);
  } else if (!common.quiet) {
    std::fputs(show::dump_text(*report.dump).c_str(), to);
    std::fputs((report.self_check ? show::self_check_text(*report.self_check) : "").c_str(), to);
    print_remarks(result->summary.remarks);
  }
  const bool failed = report.self_check && !report.self_check->passed();
  return failed ? std::max<int>(exit_code_of(*result), kExitNotAsAsked) : exit_code_of(*result);
}

}  // namespace

Run add_convert(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("IN", options->input, "A dump file of any known format, or a stored crash")
      ->required();
  command.add_option("OUT", options->output, "The dump to write; - is standard output");
  command.add_flag("--crash", options->is_crash, "IN is a stored crash");
  add_store_option(command, options->store);
  add_dump_options(command, options->dump);
  add_self_check_option(command, options->self_check);
  command.add_flag("--dry-run", options->dump.how.dry_run,
                   "Print what would be kept, and write nothing");
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
