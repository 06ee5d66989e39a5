// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/self_check.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <utility>

#include "src/base/whole_file.h"
#include "src/cli/dump_opening.h"
#include "src/cli/scratch.h"
#include "src/show/text_line.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;
using report::OpenedBy;

// What each must show: the kernel's release, which is asked of the memory, and a list of tasks.
struct Trial {
  const char* name;
  const char* file;
  const char* script;
};
constexpr std::array kTrials{
    Trial{"crash", "self-check.crash", "sys\nps -S\nexit\n"},
    Trial{"drgn", "self-check.py", R"(from drgn.helpers.linux.pid import for_each_task
print(prog["init_uts_ns"].name.release.string_().decode())
print(sum(1 for _ in for_each_task(prog)), "tasks")
)"}};

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \n");
  return end == std::string::npos ? "" : text.substr(0, end + 1).substr(text.rfind('\n', end) + 1);
}

// An analyzer that is doubted from the start proves nothing by its failure.
OpenedBy judge(const DumpRun& run, const std::string& name, const std::string& release,
               bool doubted) {
  OpenedBy opened{.with = run.with.empty() ? name : run.with,
                  .outcome = run.outcome,
                  .why = run.why,
                  .milliseconds = run.milliseconds};
  const std::string text = read_file(run.result).value_or("");
  if (run.is_done() && text.find(release) == std::string::npos) {
    opened.outcome = "failed";
    opened.why =
        fmt::format("it does not show that the kernel is {}: {}", release, last_line(text));
  } else if (run.outcome == "failed") {
    opened.why += ": " + last_line(text);
  } else if (run.result.empty()) {
    opened.outcome = "not tried";
  }
  if (doubted && opened.outcome == "failed") {
    opened.outcome = "not tried";
  }
  return opened;
}

OpenedBy try_with(const Trial& trial, const DumpToOpen& dump, const Limits& limits,
                  const Scratch& scratch) {
  const BatchOptions options{.script = scratch / trial.file, .limits = limits, .at_once = 1};
  if (const Result<> written = scratch.write(trial.file, trial.script); !written) {
    return {.with = trial.name, .outcome = "not tried", .why = written.error().message};
  }
  bool doubted = false;
  const auto prepare = [&](const std::string&, std::string&) -> Result<Opening> {
    TRY_ASSIGN(Opening opening, Analyzers({trial.name}).open(dump, options.script, {}));
    doubted = !opening.remarks.empty();
    return opening;
  };
  const auto runs = run_batch({{dump.path, scratch / trial.name}}, options, prepare);
  return judge(runs.front(), trial.name, dump.debuginfo.release, doubted);
}

std::vector<OpenedBy> try_all(const DumpToOpen& dump, const Limits& limits) {
  std::vector<OpenedBy> opened;
  const auto scratch = Scratch::make();
  for (const Trial& trial : kTrials) {
    opened.push_back(
        scratch
            ? try_with(trial, dump, limits, *scratch)
            : OpenedBy{.with = trial.name, .outcome = "not tried", .why = scratch.error().message});
  }
  return opened;
}

}  // namespace

report::SelfCheck self_check(const std::string& dump, const DebuginfoOptions& debuginfo,
                             const Limits& limits) {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  std::error_code error;
  std::string release;
  const auto opened = dump_to_open(fs::absolute(dump, error).string(), debuginfo, true, release);
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
  // Our reader tells the release; then it is the symbols that are missing.
  const bool is_read = opened || !release.empty();
  report::SelfCheck check{{{.with = std::string("vmcorectl ") + VMCORECTL_VERSION,
                            .outcome = is_read ? "done" : "failed",
                            .why = is_read ? "" : opened.error().message,
                            .milliseconds = static_cast<std::uint64_t>(took.count())}}};
  if (opened) {
    std::ranges::move(try_all(*opened, limits), std::back_inserter(check.programs));
    return check;
  }
  for (const Trial& trial : kTrials) {
    check.programs.push_back({.with = trial.name,
                              .outcome = "not tried",
                              .why = is_read ? opened.error().message : "our own reader failed"});
  }
  return check;
}

CLI::Option* add_self_check_option(CLI::App& command, bool& wanted) {
  return command.add_flag("--self-check", wanted,
                          "Open the dump again, with crash and drgn as well where they are "
                          "installed and vmlinux is found: confined, and without network");
}

}  // namespace vmcore::cli
