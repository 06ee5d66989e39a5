// SPDX-License-Identifier: GPL-2.0-or-later
// `dump --crash-guest`: crashes the guest, and receives the dump from its own capture kernel.
#pragma once

#include <string>

#include "src/cli/verb.h"
#include "src/job/dump_job.h"

namespace vmcore::cli {

struct CrashChoice {
  std::string by;       // empty: nothing is crashed
  std::string channel;  // the host's end of the guest's port, where no domain's definition tells it
  bool yes = false;
  unsigned wait = 60;  // seconds; a capture kernel that failed stands still for 90
};

void add_crash_options(CLI::App& command, CrashChoice& choice);

// Crashes the guest that `outside` would dump, prints the result and returns the exit code.
// `outside` runs if the guest's own kernel does not send all of its dump. Its `force` crashes also
// a guest that is not known to have a capture kernel, or that has no channel; files are not
// replaced.
int crash_and_tell(const CrashChoice& choice, job::GuestDumpOptions outside, const Common& common);

}  // namespace vmcore::cli
