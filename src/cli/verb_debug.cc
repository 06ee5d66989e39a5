// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "src/base/process.h"
#include "src/base/shell.h"
#include "src/base/units.h"
#include "src/cli/analyzers.h"
#include "src/cli/debug_batch.h"
#include "src/cli/debug_live.h"
#include "src/cli/debuginfo_options.h"
#include "src/cli/dump_opening.h"
#include "src/cli/dump_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/remote.h"
#include "src/cli/self_check.h"
#include "src/cli/store.h"
#include "src/cli/verb.h"
#include "src/command/exit_code.h"
#include "src/command/report_error.h"
#include "src/job/dump_name.h"

namespace vmcore::cli {
namespace {

namespace fs = std::filesystem;

struct Options {
  GuestOptions source;            // a dump, a stored crash or a guest
  std::vector<std::string> more;  // words for the analyzer; with --run: dumps
  DebuginfoOptions debuginfo;
  std::string with;
  std::string script;
  std::string results;
  std::string time_limit = "10m";
  std::string memory_limit = "8GiB";
  bool confined = false;
  bool self_check = false;
  bool live = false;
  unsigned at_once = std::max(1U, std::thread::hardware_concurrency());
};

// A dump file, or one in the store, which is not removed meanwhile.
struct Subject {
  std::string path;
  std::optional<vault::OpenCrash> crash = {};
  bool is_guest = false;  // or it is neither
};

Result<Subject> subject_of(const GuestOptions& source) {
  TRY_ASSIGN(auto crash, find_crash(source));
  if (!crash) {
    return Subject{.path = source.domain, .is_guest = !is_dump_file(source)};
  }
  const auto& manifest = crash->crash.manifest;
  if (!manifest || !manifest->dump) {
    return fail(Errc::invalid, "{} has no memory", crash->crash.id);
  }
  std::string path = crash->path + "/" + manifest->dump->file;
  return Subject{std::move(path), std::move(crash)};
}

Result<Subject> subject_of(const std::string& word, const StoreChoice& store) {
  GuestOptions source;
  source.domain = word;
  source.store = store;
  return subject_of(source);
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

// As it can be pasted.
std::string shown(const Command& command) {
  std::vector<std::string> words = command.environment;
  if (!words.empty()) {
    words.insert(words.begin(), "env");
  }
  words.insert(words.end(), command.words.begin(), command.words.end());
  return shell_command(words);
}

int open_dump(const Subject& subject, const Options& options, const Common& common) {
  std::string release;
  const auto dump = dump_to_open(subject.path, options.debuginfo, common.quiet, release);
  const auto opening = dump ? Analyzers(names_for(options)).open(*dump, {}, options.more)
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
  if (subject.crash && subject.crash->lock) {
    ::fcntl(subject.crash->lock.get(), F_SETFD, 0);  // the analyzer holds it
  }
  return report_error(become(opening->command), common);
}

// A guest is dumped into the current folder first, as `vmcorectl dump` does it.
int open_guest(const Options& options, const Common& common) {
  const GuestOptions& guest = options.source;
  const std::string path = job::dump_name(guest.domain, std::chrono::system_clock::now());
  std::error_code error;
  const std::string self = fs::read_symlink("/proc/self/exe", error).string();
  Command dump{.words = {self, "dump", guest.domain, "-o", path}};
  if (!guest.uri.empty()) {
    dump.words.insert(dump.words.end(), {"-c", guest.uri});
  }
  for (const auto& [wanted, word] :
       {std::pair(guest.by_name, "--name"), std::pair(common.quiet, "--quiet")}) {
    if (wanted) {
      dump.words.emplace_back(word);
    }
  }
  if (!common.quiet) {
    print_remarks(
        {{Errc::not_found,
          fmt::format("{} is taken as a domain, and dumped to {} first", guest.domain, path),
          Severity::fact}});
  }
  std::fflush(nullptr);
  auto child = Process::start([&] { return report_error(become(dump)); });
  const auto before = std::signal(SIGINT, SIG_IGN);  // the child ends the dump, and is waited for
  const Result<int> status = child ? child->wait() : tl::unexpected(child.error());
  std::signal(SIGINT, before);
  if (!status) {
    return report_error(status.error(), common);
  }
  if (fs::exists(path, error)) {
    return open_dump({path}, options, common);
  }
  return WIFEXITED(*status) ? WEXITSTATUS(*status)
                            : report_error({Errc::io, "the dump: " + ending(*status)}, common);
}

int open_one(const Options& options, const Common& common) {
  const auto subject = subject_of(options.source);
  return !subject            ? report_error(subject.error(), common)
         : subject->is_guest ? open_guest(options, common)
                             : open_dump(*subject, options, common);
}

std::string result_path(const std::string& word, const Options& options) {
  const fs::path dump(word);
  const std::string name = fmt::format("{}.{}.txt", dump.filename().string(),
                                       fs::path(options.script).filename().string());
  std::error_code error;
  const bool is_file = word.find('/') != std::string::npos || fs::exists(dump, error);
  const fs::path folder = !options.results.empty() ? fs::path(options.results)
                          : is_file                ? dump.parent_path()
                                                   : fs::path();
  return (folder / name).string();
}

Limits limits_of(const Options& options) {
  return {.time = *parse_duration(options.time_limit),
          .memory = *parse_size(options.memory_limit),
          .confined = options.confined};
}

// The verdict goes into the manifest of a stored crash.
Result<> tell_store(const Options& options, const Subject& subject,
                    const report::SelfCheck& check) {
  if (!subject.crash) {
    return {};
  }
  TRY_ASSIGN(const vault::Vault vault, open_store(options.source.store));
  return vault.set_self_check(subject.crash->crash.id, check);
}

// A run for each program that was to open the dump.
std::vector<DumpRun> runs_of(const std::string& dump, const report::SelfCheck& check) {
  std::vector<DumpRun> runs;
  for (const report::OpenedBy& each : check.programs) {
    runs.push_back({.dump = dump,
                    .with = each.with,
                    .outcome = each.outcome,
                    .why = each.why,
                    .milliseconds = each.milliseconds});
  }
  return runs;
}

int check_self(const Options& options, const Common& common) {
  std::vector<std::string> words{options.source.domain};
  words.insert(words.end(), options.more.begin(), options.more.end());
  Limits limits = limits_of(options);
  limits.confined = true;
  std::vector<DumpRun> runs;
  int code = kExitDone;
  for (const std::string& word : words) {
    const auto subject = subject_of(word, options.source.store);
    if (!subject) {
      return report_error(subject.error(), common);
    }
    const report::SelfCheck check = self_check(subject->path, options.debuginfo, limits);
    code = check.passed() ? code : kExitNotAsAsked;
    std::ranges::move(runs_of(word, check), std::back_inserter(runs));
    if (const Result<> told = tell_store(options, *subject, check); !told) {
      return report_error(told.error(), common);
    }
  }
  std::fputs((common.json ? batch_json("", runs) : batch_text(runs)).c_str(), stdout);
  return code;
}

int run_script(const Options& options, const Common& common) {
  std::error_code error;
  if (!fs::is_regular_file(options.script, error)) {
    const char* const why = fs::exists(options.script, error) ? "not a file" : "no such script";
    return report_error({Errc::not_found, fmt::format("{}: {}", options.script, why)}, common);
  }
  std::vector<BatchJob> jobs{{options.source.domain, result_path(options.source.domain, options)}};
  for (const std::string& word : options.more) {
    jobs.push_back({word, result_path(word, options)});
  }
  const Analyzers analyzers(names_for(options));
  std::vector<vault::OpenCrash> held;  // until all ran
  const auto prepare = [&](const std::string& word, std::string& release) -> Result<Opening> {
    TRY_ASSIGN(Subject subject, subject_of(word, options.source.store));
    TRY_ASSIGN(const DumpToOpen dump, dump_to_open(subject.path, options.debuginfo, true, release));
    if (subject.crash) {
      held.push_back(*std::move(subject.crash));
    }
    return analyzers.open(dump, options.script, {});
  };
  const auto runs = run_batch(
      jobs, {.script = options.script, .limits = limits_of(options), .at_once = options.at_once},
      prepare);
  std::fputs((common.json ? batch_json(options.script, runs) : batch_text(runs)).c_str(), stdout);
  return batch_exit_code(runs);
}

int run(const Options& options, const Common& common) {
  return options.live         ? debug_live(options.source, options.debuginfo, options.more, common)
         : options.self_check ? check_self(options, common)
         : options.script.empty() ? open_one(options, common)
                                  : run_script(options, common);
}

}  // namespace

Run add_debug(CLI::App& command, const Common& common) {
  const auto options = std::make_shared<Options>();
  command.add_option("DUMP", options->source.domain,
                     "A dump file, a stored crash, or a libvirt domain, which is dumped first");
  CLI::Option* const name =
      command.add_flag("--name", options->source.by_name, "DUMP is the name of a domain");
  command.add_option("-c,--connect", options->source.uri, "The URI of libvirt, of a domain");
  command.add_option("MORE", options->more,
                     "With --run: more dumps; else words for the analyzer, behind --");
  command.add_option("--with", options->with, "The analyzer; default: the first one that reads it")
      ->check(CLI::IsMember({"crash", "drgn", "gdb"}));
  CLI::Option* const live = command.add_flag(
      "--live", options->live,
      "DUMP is a libvirt domain, whose memory drgn reads while the domain goes on: it is neither "
      "dumped nor paused");
  command
      .add_option("--qmp", options->source.socket,
                  "With --live: the QMP socket of a QEMU, in place of a domain")
      ->needs(live);
  add_socket_option(command, options->source.control);
  CLI::Option* script =
      command.add_option("--run", options->script,
                         "Run this script over all dumps, without a prompt: of drgn (.py), else of "
                         "the commands of crash");
  command
      .add_option("--results", options->results,
                  "The folder for what the script prints; default: beside each dump")
      ->needs(script)
      ->check(CLI::ExistingDirectory);
  command
      .add_flag("--confined", options->confined,
                "Run it as a user of its own, without network: it reads the dump, its debug "
                "information and the system's programs, and writes nothing but its result")
      ->needs(script);
  CLI::Option* const check = add_self_check_option(command, options->self_check);
  check->excludes(script)->excludes(command.get_option("--with"));
  name->excludes(script)->excludes(check);
  live->excludes(script)->excludes(check);
  command.add_option("--jobs", options->at_once, "How many dumps at once; default: one a CPU")
      ->needs(script)
      ->check(CLI::Range(1, 256));
  command.add_option("--time-limit", options->time_limit, "The longest time for one dump")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_duration(text) ? "" : "give a time such as 90s or 10m";
      });
  command.add_option("--memory-limit", options->memory_limit, "The most memory for one dump")
      ->capture_default_str()
      ->check([](const std::string& text) {
        return parse_size(text) ? "" : "give a size such as 4GiB";
      });
  add_debuginfo_options(command, options->debuginfo);
  add_store_option(command, options->source.store);
  command.parse_complete_callback([options, &command] {
    // Words behind -- that no domain comes before.
    if (!options->source.socket.empty() && !options->source.domain.empty()) {
      options->more.insert(options->more.begin(), std::exchange(options->source.domain, ""));
    }
    if (options->source.domain.empty() && options->source.socket.empty()) {
      throw CLI::RequiredError("DUMP");
    }
    if (options->live && !options->with.empty() && options->with != "drgn") {
      throw CLI::ValidationError("--live", "is for drgn");
    }
    const bool is_over_dumps = !options->script.empty() || options->self_check;
    // With --remote it names the host.
    if (is_over_dumps && !options->source.uri.empty() && !is_remote(command)) {
      throw CLI::ValidationError("--connect",
                                 "is for a domain, and --run and --self-check take "
                                 "dumps and stored crashes");
    }
  });
  return [options, &common] { return run(*options, common); };
}

}  // namespace vmcore::cli
