// SPDX-License-Identifier: GPL-2.0-or-later
// The programs that open a dump with its debug information, and the commands for it.
//
// To add one: a row in kAnalyzers, a function that makes its command, a test in
// tests/cli/test_debug.py.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/cli/child_run.h"
#include "src/report/debuginfo.h"
#include "src/report/info.h"

namespace vmcore::cli {

// Since then drgn reads page tables by their physical addresses, and so ELF files without virtual
// ones (drgn 5b39bfb5).
inline constexpr std::string_view kDrgnReadsPhysical = "0.0.27";

struct Analyzer {
  std::string name = {};     // "crash", "drgn", "gdb"
  std::string program = {};  // its path
  std::string version = {};  // "8.0.6"
};

// All of that name in the folders of `path` (as the variable PATH has them), "crash-8.0.6" as well,
// and in /opt/*/bin; the newest first. Each is run once, to tell its version.
std::vector<Analyzer> installed_analyzers(const std::string& name, std::string_view path);

// A dump, and what opens it.
struct DumpToOpen {
  std::string path = {};
  report::InfoReport info = {};
  report::DebuginfoReport debuginfo = {};  // with a vmlinux
};

struct Opening {
  Analyzer analyzer = {};
  Command command = {};
  std::vector<Remark> remarks = {};  // what may go wrong with this version
};

// The command that opens the dump. `script`: in batch, else empty; `more`: words for the analyzer.
// Errc::unsupported where it cannot read such a dump, with what to do.
Result<Opening> opening_of(const Analyzer& analyzer, const DumpToOpen& dump,
                           const std::string& script, const std::vector<std::string>& more);

// Compares versions number by number: negative, zero or positive.
int compare_versions(std::string_view a, std::string_view b);

}  // namespace vmcore::cli
