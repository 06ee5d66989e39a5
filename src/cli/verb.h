// SPDX-License-Identifier: GPL-2.0-or-later
// A verb: one subcommand of vmcorectl.
//
// To add one: verb_NAME.cc with a function like those below, a row in kVerbs (main.cc), a section
// in docs/man/vmcorectl.1, a test in tests/cli/.
#pragma once

#include "src/command/program.h"

namespace vmcore::cli {

Run add_arm(CLI::App& command, const Common& common);
Run add_check(CLI::App& command, const Common& common);
Run add_disarm(CLI::App& command, const Common& common);
Run add_dump(CLI::App& command, const Common& common);
Run add_receive(CLI::App& command, const Common& common);
Run add_convert(CLI::App& command, const Common& common);
Run add_debug(CLI::App& command, const Common& common);
Run add_debuginfo(CLI::App& command, const Common& common);
Run add_key(CLI::App& command, const Common& common);
Run add_info(CLI::App& command, const Common& common);
Run add_report(CLI::App& command, const Common& common);
Run add_dmesg(CLI::App& command, const Common& common);
Run add_look(CLI::App& command, const Common& common);
Run add_memory(CLI::App& command, const Common& common);
Run add_list(CLI::App& command, const Common& common);
Run add_path(CLI::App& command, const Common& common);
Run add_export(CLI::App& command, const Common& common);
Run add_hold(CLI::App& command, const Common& common);
Run add_rm(CLI::App& command, const Common& common);
Run add_prune(CLI::App& command, const Common& common);

}  // namespace vmcore::cli
