// SPDX-License-Identifier: GPL-2.0-or-later
// What became of a dump, within the documents of reports: the members of a DumpFile, or "error".
#pragma once

#include "src/report/dump.h"
#include "src/report/json.h"

namespace vmcore::report {

void add_dump(Json& document, const Result<DumpFile>& dump);
// Throws a Misfit.
Result<DumpFile> dump_file_from(const Members& document);

}  // namespace vmcore::report
