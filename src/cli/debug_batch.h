// SPDX-License-Identifier: GPL-2.0-or-later
// A script run over many dumps at once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/cli/analyzers.h"
#include "src/cli/child_run.h"

namespace vmcore::cli {

// What became of one dump.
struct DumpRun {
  std::string dump = {};     // as the user named it
  std::string release = {};  // guest; empty where it is not known
  std::string with = {};     // "crash 8.0.6"
  // "done"; "failed": the analyzer ended with an error, or crash says that it did not know or pipe
  // a command of the script; "time limit"; "no symbols"; "no analyzer"; "unreadable"; "not tried":
  // it cannot be confined.
  std::string outcome = {};
  std::string why = {};  // for people; empty where it is done
  std::uint64_t milliseconds = 0;
  std::string result = {};  // the file with what was printed; empty: none
  bool is_done() const { return outcome == "done"; }
};

struct BatchJob {
  std::string dump = {};
  std::string result = {};  // the file to write
};

struct BatchOptions {
  std::string script = {};
  Limits limits = {};
  unsigned at_once = 1;
};

// What a dump needs, before it is run: an Error's code tells the outcome (not_found: no symbols;
// unsupported: no analyzer; else it is unreadable). Fills in the release.
using Prepare = std::function<Result<Opening>(const std::string& dump, std::string& release)>;
// The same once more, where crash gave up: with zeros for pages that are not there.
Command with_zeros(Command command);

// The runs in the order of the jobs.
std::vector<DumpRun> run_batch(const std::vector<BatchJob>& jobs, const BatchOptions& options,
                               const Prepare& prepare);

std::string batch_text(const std::vector<DumpRun>& runs);
// docs/schema/debug.json.
std::string batch_json(const std::string& script, const std::vector<DumpRun>& runs);
int batch_exit_code(const std::vector<DumpRun>& runs);

}  // namespace vmcore::cli
