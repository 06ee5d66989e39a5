// What verbs end with.
#pragma once

#include <vector>

#include "guest/cli/verb.h"
#include "src/base/result.h"

namespace vmcore::guest::cli {

// Reports an error, if it is one, and gives the exit code.
int report(const Result<>& result, const Common& common);
// Doubts about what was done, to standard error.
void print_remarks(const std::vector<Remark>& remarks);

}  // namespace vmcore::guest::cli
