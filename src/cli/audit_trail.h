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

// A dump, and the action of --then. `asked` names the guest where none was found.
void audit_dump(const report::DumpReport& report, const acquire::Selection& asked);

void audit_received(const report::ReceiveReport& report);

// An order to crash, its way (`by`: "nmi" ...), and the dump that followed. An Error: the guest was
// not touched.
void audit_crash(const Result<job::CrashResult>& result, const acquire::Selection& asked,
                 const std::string& by);

// The memory of a guest was read for that operation.
void audit_look(const job::PausedText& read, const acquire::Selection& asked,
                sandbox::Operation operation);

// A deed on a stored crash. `file`: the path of its copy.
void audit_stored(audit::Deed deed, const report::ListedCrash& crash, const Result<>& done,
                  const std::string& action = {}, const std::string& file = {});

}  // namespace vmcore::cli
