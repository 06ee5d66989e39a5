// SPDX-License-Identifier: GPL-2.0-or-later
// The options that `dump` and `convert` share, and how their results are told.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "src/cli/verb.h"
#include "src/job/convert_job.h"

namespace vmcore::cli {

void add_dump_options(CLI::App& command, job::DumpOptions& options);

// The exit code of a dump that was kept (or planned).
int exit_code_of(const job::DumpResult& result);

// Prints the remarks of a result to standard error, one a line.
void print_remarks(const std::vector<Remark>& remarks);

}  // namespace vmcore::cli
