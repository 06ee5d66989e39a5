// SPDX-License-Identifier: GPL-2.0-or-later
// The records of what verbs did (src/audit). None of these fails.
#pragma once

#include <string>

#include "src/audit/audit.h"
#include "src/job/crash_job.h"
#include "src/job/read_paused.h"
#include "src/report/dump.h"
#include "src/report/manifest.h"
#include "src/report/receive.h"

namespace vmcore::cli {

// A dump, and what was done with the guest then. `asked`: who was asked for, where nobody was
// found.
void audit_dump(const report::DumpReport& report, const acquire::Selection& asked);

void audit_received(const report::ReceiveReport& report);

// A guest that was told to crash by `by`, and what came of it; or that was not.
void audit_crash(const Result<job::CrashResult>& result, const acquire::Selection& asked,
                 const std::string& by);

// A look at the memory of a guest, for that operation.
void audit_look(const job::PausedText& read, const acquire::Selection& asked,
                sandbox::Operation operation);

// A deed on a stored crash. `file`: what came of it.
void audit_stored(audit::Deed deed, const report::ListedCrash& crash, const Result<>& done,
                  const std::string& action = {}, const std::string& file = {});

}  // namespace vmcore::cli
