// SPDX-License-Identifier: GPL-2.0-or-later
// --remote: runs a verb with the vmcorectl of the host that libvirt's URI names, over ssh.
#pragma once

#include "src/cli/verb.h"

namespace vmcore::cli {

// Adds the option to a verb whose own options were added; with --connect, where it has none.
void add_remote_option(CLI::App& command);

// Whether it was given.
bool is_remote(const CLI::App& command);

// Runs the verb as it was parsed; returns the exit code. A dump is staged here, and named when it
// is complete.
int run_remotely(const CLI::App& command, const Common& common);

}  // namespace vmcore::cli
