// SPDX-License-Identifier: GPL-2.0-or-later
// What the verbs share that need debug information of a kernel.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "src/cli/verb.h"
#include "src/debuginfo/finder.h"
#include "src/debuginfo/kernel.h"
#include "src/report/debuginfo.h"
#include "src/report/info.h"
#include "src/report/triage.h"

namespace vmcore::cli {

struct DebuginfoOptions {
  std::vector<std::string> from;
  std::string cache;  // empty: the usual one
  bool fetch = false;
};

// Adds --from, --fetch and --cache.
void add_debuginfo_options(CLI::App& command, DebuginfoOptions& options);

// The kernel that a report and, where memory does not show it, VMCOREINFO tells of. Errc::not_found
// where neither does.
Result<debuginfo::WantedKernel> wanted_kernel(const report::TriageReport& report,
                                              const std::optional<report::InfoReport>& info);

// A line on a terminal tells what takes long, unless `quiet`.
Result<report::DebuginfoReport> find_debuginfo(const debuginfo::WantedKernel& kernel,
                                               const DebuginfoOptions& options, bool quiet);

}  // namespace vmcore::cli
