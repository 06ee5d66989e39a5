// SPDX-License-Identifier: GPL-2.0-or-later
// A TriageReport as text for people.
#pragma once

#include <string>

#include "src/report/triage.h"

namespace vmcore::show {

// One screen: what happened, where, and what else was going on. `name` is the guest's or the
// file's. No text of the guest controls the terminal.
std::string triage_screen(const report::TriageReport& report, const std::string& name);
// All of the report, behind the screen.
std::string triage_details(const report::TriageReport& report);

}  // namespace vmcore::show
