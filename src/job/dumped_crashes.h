// SPDX-License-Identifier: GPL-2.0-or-later
// DumpedCrashes: remembers which crashes this user has dumped, so that a second run need not dump
// them again.
//
// Each is a note of the guest's process (acquire/process/process_notes.h): it is forgotten when
// QEMU ends. Where it cannot be written or read, the crash is dumped once more.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "src/acquire/guest.h"
#include "src/acquire/process/process_notes.h"
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

class DumpedCrashes {
 public:
  explicit DumpedCrashes(acquire::ProcessNotes notes) : notes_(std::move(notes)) {}

  // The complete dump of that crash; nothing where none is known, or its file is gone.
  std::optional<std::filesystem::path> dump_of(const CrashMark& crash) const;
  void remember(const CrashMark& crash, const std::filesystem::path& dump) const;

 private:
  acquire::ProcessNotes notes_;
};

}  // namespace vmcore::job
