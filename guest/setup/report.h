// How verbs end: a contract with scripts (man page, EXIT STATUS).
#pragma once

#include <vector>

#include "guest/setup/verb.h"
#include "src/base/result.h"

namespace vmcore::guest {

enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,  // the command line makes no sense
};

// Prints the error to standard error, once; with JSON, an object with "error" to standard output as
// well. Gives the exit code.
int report_error(const Error& error, const Common& common);
// The same for an error, kExitDone else.
int report(const Result<>& result, const Common& common);
// Doubts about what was done, to standard error.
void print_remarks(const std::vector<Remark>& remarks);

}  // namespace vmcore::guest
