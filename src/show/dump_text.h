// SPDX-License-Identifier: GPL-2.0-or-later
// A dump that was written, as text for people.
#pragma once

#include <string>

#include "src/report/dump.h"
#include "src/report/self_check.h"

namespace vmcore::show {

// What was kept, what was left out and why.
std::string dump_text(const report::DumpFile& dump);

// "self-check    crash 8.0.6 opens it"; a line for each program.
std::string self_check_text(const report::SelfCheck& check);

}  // namespace vmcore::show
