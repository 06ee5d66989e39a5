// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a dump that was written opens: in our own reader and, confined
// (sandbox/confine_program.h), in crash and drgn.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "src/cli/child_run.h"
#include "src/cli/debug_batch.h"
#include "src/cli/debuginfo_options.h"
#include "src/report/self_check.h"

namespace vmcore::cli {

inline constexpr Limits kSelfCheckLimits{
    .time = std::chrono::minutes(5), .memory = 8ULL << 30, .confined = true};

// Opens the dump at that path with our reader, crash and drgn, one after another. Each must show
// the kernel's release and the tasks. What is not installed, has no vmlinux, or cannot be confined
// is "not tried".
report::SelfCheck self_check(const std::string& dump, const DebuginfoOptions& debuginfo,
                             const Limits& limits);

// Adds --self-check.
CLI::Option* add_self_check_option(CLI::App& command, bool& wanted);

}  // namespace vmcore::cli
