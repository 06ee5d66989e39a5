// SPDX-License-Identifier: GPL-2.0-or-later
// Which crashes this user has dumped already, so that a second run need not dump them again. It is
// forgotten when the guest's QEMU ends. Like a cache, it may forget more.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "src/acquire/guest.h"
#include "src/acquire/selection.h"
#include "src/base/result.h"

namespace vmcore::job {

// One crash: of that process, whose kernel wrote that log (its SHA-256). A guest that is reset and
// crashes again has another log, for its lines have times.
struct CrashMark {
  acquire::ProcessKey process;
  std::string log;
};

// Of a guest as it stands: its log is read, and nothing is done to it. Method direct alone.
Result<CrashMark> mark_of_crash(const acquire::Selection& guest);

// The complete dump of that crash; nothing where none is known, or its file is gone.
std::optional<std::filesystem::path> dump_of(const CrashMark& crash);
void remember_dump(const CrashMark& crash, const std::filesystem::path& dump);

}  // namespace vmcore::job
