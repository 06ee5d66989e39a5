// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/debug_batch.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <optional>
#include <utility>

#include "src/base/printable.h"
#include "src/base/whole_file.h"
#include "src/command/exit_code.h"
#include "src/report/json.h"
#include "src/show/text_line.h"
#include "src/staging/staged_file.h"

namespace vmcore::cli {
namespace {

constexpr std::chrono::milliseconds kLook{50};
constexpr const char* kZeros = "--zero_excluded";

bool has_zeros(const Command& command) {
  return std::ranges::find(command.words, kZeros) != command.words.end();
}

std::string outcome_of(const Error& error) {
  return error.code == Errc::not_found     ? "no symbols"
         : error.code == Errc::unsupported ? "no analyzer"
                                           : "unreadable";
}

// What was printed, without its last newline.
std::string said_in(int output) {
  ::lseek(output, 0, SEEK_SET);
  std::string text = read_all(output, "what it said").value_or("");
  text.erase(text.find_last_not_of('\n') + 1);
  return text;
}

// crash ends well all the same where a command of its script failed. What commands themselves print
// of it has no common form.
std::string failed_command(const std::string& said) {
  for (const std::string_view error :
       {"crash: pipe operation failed", "crash: command not found: "}) {
    const std::size_t at = said.starts_with(error) ? 0 : said.find("\n" + std::string(error));
    if (at != std::string::npos) {
      const std::size_t begin = said.find(error, at);
      return said.substr(begin, said.find('\n', begin) - begin);
    }
  }
  return "";
}

// A dump whose analyzer runs.
struct Running {
  DumpRun& run;
  Opening opening;
  staging::StagedFile output;
  ChildRun child;
};

class Batch {
 public:
  Batch(const BatchOptions& options, const Prepare& prepare)
      : options_(options), prepare_(prepare) {}

  std::vector<DumpRun> run(const std::vector<BatchJob>& jobs) {
    std::vector<DumpRun> runs(jobs.size());
    std::size_t next = 0;
    while (next < jobs.size() || !running_.empty()) {
      if (next < jobs.size() && running_.size() < options_.at_once) {
        start(jobs[next], runs[next]);
        ++next;
      } else {
        look();
      }
    }
    return runs;
  }

 private:
  void start(const BatchJob& job, DumpRun& run) {
    run.dump = job.dump;
    auto opening = prepare_(job.dump, run.release);
    if (!opening) {
      run.outcome = outcome_of(opening.error());
      run.why = opening.error().message;
      return;
    }
    run.with = opening->analyzer.name + " " + opening->analyzer.version;
    for (const Remark& remark : opening->remarks) {
      run.why += (run.why.empty() ? "" : "; ") + remark.text;
    }
    if (const auto begun = begin(job.result, *std::move(opening), run); !begun) {
      run.outcome = "failed";
      run.why = begun.error().message;
    }
  }

  Result<> begin(const std::string& result, Opening opening, DumpRun& run) {
    TRY_ASSIGN(staging::StagedFile output, staging::StagedFile::create(result, true));
    TRY_ASSIGN(ChildRun child, ChildRun::start(opening.command, output.fd(), options_.limits));
    running_.push_back({run, std::move(opening), std::move(output), std::move(child)});
    return {};
  }

  // Ends those that ended.
  void look() {
    for (auto each = running_.begin(); each != running_.end();) {
      const auto ended = each->child.wait_for(kLook);
      if (ended && !*ended) {
        ++each;
        continue;
      }
      if (ended && try_with_zeros(*each, **ended)) {
        ++each;
        continue;
      }
      end(*each, ended ? **ended : ChildRun::Ended{.status = kExecFailed << 8});
      each = running_.erase(each);
    }
  }

  // crash refuses a dump that lacks a page which it wants first; --zero_excluded opens a third of
  // these (retrace-server #474).
  bool try_with_zeros(Running& running, const ChildRun::Ended& ended) {
    const bool gave_up = WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 1;
    if (running.opening.analyzer.name != "crash" || !gave_up ||
        has_zeros(running.opening.command)) {
      return false;
    }
    running.opening.command = with_zeros(running.opening.command);
    auto again = ChildRun::start(running.opening.command, running.output.fd(), options_.limits);
    if (!again) {
      return false;
    }
    running.child = *std::move(again);
    running.run.why += (running.run.why.empty() ? "" : "; ");
    running.run.why += "opened with --zero_excluded: pages that are missing read as zeros";
    return true;
  }

  static void end(Running& running, const ChildRun::Ended& ended) {
    DumpRun& run = running.run;
    run.milliseconds = static_cast<std::uint64_t>(ended.took.count());
    run.outcome = ended.timed_out                                             ? "time limit"
                  : WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == 0 ? "done"
                                                                              : "failed";
    if (WIFEXITED(ended.status) && WEXITSTATUS(ended.status) == kNotConfined) {
      run.outcome = "not tried";
      run.why = said_in(running.output.fd());
      return;
    }
    std::string why = run.outcome == "failed" ? ending(ended.status) : "";
    if (run.is_done() && running.opening.analyzer.name == "crash") {
      why = failed_command(said_in(running.output.fd()));
    }
    if (!why.empty()) {
      run.outcome = "failed";
      run.why += (run.why.empty() ? "" : "; ") + why;
    }
    const auto kept = running.output.commit();  // what it printed tells why it failed, too
    run.result = kept ? kept->path.string() : "";
    if (!kept) {
      run.outcome = "failed";
      run.why = kept.error().message;
    }
  }

  const BatchOptions& options_;
  const Prepare& prepare_;
  std::list<Running> running_;
};

}  // namespace

Command with_zeros(Command command) {
  command.words.insert(command.words.begin() + 1, kZeros);
  return command;
}

std::vector<DumpRun> run_batch(const std::vector<BatchJob>& jobs, const BatchOptions& options,
                               const Prepare& prepare) {
  return Batch(options, prepare).run(jobs);
}

std::string batch_text(const std::vector<DumpRun>& runs) {
  std::vector<std::vector<std::string>> rows{
      {"DUMP", "KERNEL", "WITH", "OUTCOME", "SECONDS", "RESULT"}};
  for (const DumpRun& run : runs) {
    const double seconds = static_cast<double>(run.milliseconds) / 1000;
    rows.push_back({printable(run.dump), printable(run.release), printable(run.with), run.outcome,
                    run.result.empty() ? "" : fmt::format("{:.1f}", seconds),
                    printable(run.result.empty() ? run.why : run.result)});
  }
  std::string text = show::table(rows);
  for (const DumpRun& run : runs) {
    if (!run.result.empty() && !run.why.empty()) {
      show::line(text, "note", run.dump + ": " + run.why);
    }
  }
  return text;
}

std::string batch_json(const std::string& script, const std::vector<DumpRun>& runs) {
  using report::Json;
  using report::text_or_null;
  Json list = Json::array();
  for (const DumpRun& run : runs) {
    list.push_back({{"dump", report::cut(run.dump, report::kMaxPath)},
                    {"release", text_or_null(run.release, report::kMaxName)},
                    {"with", text_or_null(run.with, report::kMaxName)},
                    {"outcome", run.outcome},
                    {"why", text_or_null(run.why, report::kMaxText)},
                    {"milliseconds", run.milliseconds},
                    {"result", text_or_null(run.result, report::kMaxPath)}});
  }
  return report::document_text({{"schema", "vmcorectl-debug/1"},
                                {"script", text_or_null(script, report::kMaxPath)},
                                {"runs", std::move(list)}});
}

int batch_exit_code(const std::vector<DumpRun>& runs) {
  const auto done = std::ranges::count_if(runs, &DumpRun::is_done);
  return done == 0                                       ? kExitFailed
         : static_cast<std::size_t>(done) == runs.size() ? kExitDone
                                                         : kExitNotAsAsked;
}

}  // namespace vmcore::cli
