// SPDX-License-Identifier: GPL-2.0-or-later
// A verb: one subcommand of vmcore-guest.
//
// To add a verb: verb_NAME.cc with a function like those below, a row in kVerbs (main.cc), a
// section in docs/man/vmcore-guest.8, a test.
#pragma once

#include "src/command/program.h"

namespace vmcore::guest::cli {

Run add_build(CLI::App& command, const Common& common);
Run add_collect(CLI::App& command, const Common& common);
Run add_early(CLI::App& command, const Common& common);
Run add_estimate(CLI::App& command, const Common& common);
Run add_exec(CLI::App& command, const Common& common);
Run add_load(CLI::App& command, const Common& common);
Run add_lock(CLI::App& command, const Common& common);
Run add_remove(CLI::App& command, const Common& common);
Run add_save(CLI::App& command, const Common& common);
Run add_setup(CLI::App& command, const Common& common);
Run add_status(CLI::App& command, const Common& common);
Run add_test(CLI::App& command, const Common& common);
Run add_unload(CLI::App& command, const Common& common);

}  // namespace vmcore::guest::cli
