// SPDX-License-Identifier: GPL-2.0-or-later
// Reports the results of verbs.
#pragma once

#include <vector>

#include "guest/cli/verb.h"
#include "src/base/result.h"

namespace vmcore::guest::cli {

// Prints the error, if it is one, and returns the exit code.
int report(const Result<>& result, const Common& common);
// Prints warnings to standard error.
void print_remarks(const std::vector<Remark>& remarks);

}  // namespace vmcore::guest::cli
