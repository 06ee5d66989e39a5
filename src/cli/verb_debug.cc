// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "src/base/shell.h"
#include "src/base/units.h"
#include "src/cli/analyzers.h"
#include "src/cli/debug_batch.h"
#include "src/cli/debuginfo_options.h"
#include "src/cli/debuginfo_text.h"
#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/budget.h"
#include "src/job/read_job.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string dump;
  std::vector<std::string> more;  // words for the analyzer; with --run: dumps
  StoreChoice store;
  DebuginfoOptions debuginfo;
  std::string with;
  std::string script;
  std::string results;
  std::string time_limit = "10m";
  std::string memory_limit = "8GiB";
  unsigned at_once = std::max(1U, std::thread::hardware_concurrency());
};

// A dump file, or one in the store, which is not removed meanwhile.
struct Subject {
  std::string path;
  std::optional<vault::OpenCrash> crash;
};

Result<Subject> subject_of(const std::string& word, const StoreChoice& store) {
  GuestOptions source;
  source.domain = word;
  source.store = store;
  TRY_ASSIGN(auto crash, find_crash(source));
  if (!crash) {
    return Subject{word, std::nullopt};
  }
  const auto& manifest = crash->crash.manifest;
  if (!manifest || !manifest->dump) {
    return fail(Errc::invalid, "{} has no memory", crash->crash.id);
  }
  std::string path = crash->path + "/" + manifest->dump->file;
  return Subject{std::move(path), std::move(crash)};
}

Result<report::InfoReport> info_of(const std::string& path) {
  TRY_ASSIGN(const job::TextResult text,
             job::read_file(path, sandbox::Operation::info, job::whole_budget().threads));
  return report::info_from_json(text.text);
}

Result<report::TriageReport> report_of(const std::string& path) {
  TRY_ASSIGN(const job::TextResult text,
             job::read_file(path, sandbox::Operation::report, job::whole_budget().threads));
  return report::triage_from_json(text.text);
}

Result<DumpToOpen> dump_to_open(const std::string& path, const Options& options,
                                const Common& common, std::string& release) {
  TRY_ASSIGN(report::InfoReport info, info_of(path));
  TRY_ASSIGN(const report::TriageReport triage, report_of(path));
  // Not Errc::not_found, which means that symbols are not there.
  const auto kernel = wanted_kernel(triage, info);
  if (!kernel) {
    return fail(Errc::malformed, "{}: {}", path, kernel.error().message);
  }
  release = kernel->release;
  TRY_ASSIGN(report::DebuginfoReport found,
             find_debuginfo(*kernel, options.debuginfo, common.quiet || !options.script.empty()));
  if (!found.vmlinux) {
    const auto& refused = found.refused;
    return fail(Errc::not_found, "no vmlinux of {} is found: {}{} (vmcorectl debuginfo tells all)",
                kernel->release, found.advice ? advice_line(*found.advice) : "",
                refused.empty() ? "" : "; " + refused.front().path + " " + refused.front().why);
  }
  return DumpToOpen{path, std::move(info), std::move(found)};
}

// The names of the analyzers that may be taken, the first choice first.
std::vector<std::string> names_for(const Options& options) {
  if (!options.with.empty()) {
    return {options.with};
  }
  if (options.script.ends_with(".py")) {
    return {"drgn"};
  }
  return options.script.empty() ? std::vector<std::string>{"crash", "drgn", "gdb"}
                                : std::vector<std::string>{"crash"};
}

// All that are installed, found once.
class Analyzers {
 public:
  explicit Analyzers(const Options& options) : names_(names_for(options)) {
    const char* const path = std::getenv("PATH");
    for (const std::string& name : names_) {
      for (Analyzer& each : installed_analyzers(name, path == nullptr ? "" : path)) {
        all_.push_back(std::move(each));
      }
    }
  }

  // By the first one that reads the dump without a doubt, else by the first one that reads it.
  Result<Opening> open(const DumpToOpen& dump, const Options& options) const {
    const std::vector<std::string> more =
        options.script.empty() ? options.more : std::vector<std::string>();
    std::optional<Opening> doubted;
    Error error{Errc::unsupported, fmt::format("{} is not installed", joined())};
    for (const Analyzer& analyzer : all_) {
      auto opening = opening_of(analyzer, dump, options.script, more);
      if (opening && opening->remarks.empty()) {
        return opening;
      }
      if (opening && !doubted) {
        doubted = *std::move(opening);
      } else if (!opening) {
        error = opening.error();
      }
    }
    return doubted ? Result<Opening>(*std::move(doubted)) : tl::unexpected(std::move(error));
  }

 private:
  std::string joined() const {
    std::string text;
    for (const std::string& name : names_) {
      text += (text.empty() ? "" : " or ") + name;
    }
    return text;
  }

  std::vector<std::string> names_;
  std::vector<Analyzer> all_;
};

// As it can be pasted.
std::string shown(const Command& command) {
  std::vector<std::string> words = command.environment;
  if (!words.empty()) {
    words.insert(words.begin(), "env");
  }
  words.insert(words.end(), command.words.begin(), command.words.end());
  return shell_command(words);
}

int open_one(const Options& options, const Common& common) {
  const auto subject = subject_of(options.dump, options.store);
  if (!subject) {
    return report_error(subject.error(), common);
  }
  std::string release;
  const auto dump = dump_to_open(subject->path, options, common, release);
  const auto opening = dump ? Analyzers(options).open(*dump, options)
                            : Result<Opening>(tl::unexpected(dump.error()));
  if (!opening) {
    return report_error(opening.error(), common);
  }
  if (!common.quiet) {
    print_remarks(dump->debuginfo.remarks);
    print_remarks(opening->remarks);
    if (!dump->debuginfo.missing_modules.empty()) {
      print_remarks(
          {{Errc::not_found, fmt::format("{} modules have no debug information (vmcorectl "
                                         "debuginfo)",
                                         dump->debuginfo.missing_modules.size())}});
    }
    fmt::print(stderr, "{}\n", shown(opening->command));
  }
  std::fflush(nullptr);
  if (subject->crash && subject->crash->lock) {
    ::fcntl(subject->crash->lock.get(), F_SETFD, 0);  // the analyzer holds it
  }
  return report_error(become(opening->command), common);
}

std::string result_path(const std::string& word, const Options& options) {
  const fs::path dump(word);
  const std::string name =
      fmt::format("{}.{}.txt", dump.filename().string(), fs::path(options.script).stem().string());
  std::error_code error;
  const bool is_file = word.find('/') != std::string::npos || fs::exists(dump, error);
  const fs::path folder = !options.results.empty() ? fs::path(options.results)
                          : is_file                ? dump.parent_path()
                                                   : fs::path();
  return (folder / name).string();
}

int run_script(const Options& options, const Common& common) {
  std::vector<BatchJob> jobs{{options.dump, result_path(options.dump, options)}};
  for (const std::string& word : options.more) {
    jobs.push_back({word, result_path(word, options)});
  }
  const Analyzers analyzers(options);
  std::vector<vault::OpenCrash> held;  // until all ran
  const auto prepare = [&](const std::string& word, std::string& release) -> Result<Opening> {
    TRY_ASSIGN(Subject subject, subject_of(word, options.store));
    TRY_ASSIGN(const DumpToOpen dump, dump_to_open(subject.path, options, common, release));
    if (subject.crash) {
      held.push_back(*std::move(subject.crash));
    }
    return analyzers.open(dump, options);
  };
  const auto runs = run_batch(jobs,
                              {.script = options.script,
                               .limits = {.time = *parse_duration(options.time_limit),
                                          .memory = *parse_size(options.memory_limit)},
                               .at_once = options.at_once},
                              prepare);
  std::fputs((common.json ? batch_json(options.script, runs) : batch_text(runs)).c_str(), stdout);
  return batch_exit_code(runs);
}

int run(const Options& options, const Common& common) {
  return options.script.empty() ? open_one(options, common) : run_script(options, common);
}

}  // namespace

Run add_debug(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("DUMP", options->dump, "A dump file or a stored crash")->required();
  command.add_option("MORE", options->more,
                     "With --run: more dumps; else words for the analyzer, behind --");
  command.add_option("--with", options->with, "The analyzer; default: the first one that reads it")
      ->check(CLI::IsMember({"crash", "drgn", "gdb"}));
  CLI::Option* script =
      command
          .add_option("--run", options->script,
                      "Run this script over all dumps, without a prompt: of drgn (.py), else of "
                      "the commands of crash")
          ->check(CLI::ExistingFile);
  command
      .add_option("--results", options->results,
                  "The folder for what the script prints; default: beside each dump")
      ->needs(script)
      ->check(CLI::ExistingDirectory);
  command.add_option("--jobs", options->at_once, "How many dumps at once; default: one a CPU")
      ->needs(script)
      ->check(CLI::Range(1, 256));
  command.add_option("--time-limit", options->time_limit, "The longest time for one dump")
      ->needs(script)
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_duration(text) ? "" : "give a time such as 90s or 10m";
      });
  command.add_option("--memory-limit", options->memory_limit, "The most memory for one dump")
      ->needs(script)
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_size(text) ? "" : "give a size such as 4GiB";
      });
  add_debuginfo_options(command, options->debuginfo);
  add_store_option(command, options->store);
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
