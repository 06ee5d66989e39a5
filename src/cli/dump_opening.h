// SPDX-License-Identifier: GPL-2.0-or-later
// From a dump file to the command that opens it.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/cli/analyzers.h"
#include "src/cli/debuginfo_options.h"

namespace vmcore::cli {

// Reads what the dump says of itself, and finds the debug information of its kernel; fills in the
// kernel's release as soon as it is known. Errc::not_found: there is no vmlinux of it, and nothing
// else is told by that.
Result<DumpToOpen> dump_to_open(const std::string& path, const DebuginfoOptions& options,
                                bool quiet, std::string& release);

// Errc::not_found, with what would have it, where no vmlinux was found.
Result<> check_vmlinux(const report::DebuginfoReport& found);

// All analyzers of these names that are installed, found once.
class Analyzers {
 public:
  // The first choice first. What is in the folders of the variable PATH.
  explicit Analyzers(std::vector<std::string> names);

  // The command of the first one that reads the dump without a doubt, else of the first one that
  // reads it. As for opening_of(); Errc::unsupported where none is installed.
  Result<Opening> open(const DumpToOpen& dump, const std::string& script,
                       const std::vector<std::string>& more) const;

  // The first choice, whatever it reads.
  Result<Analyzer> newest() const;

 private:
  std::vector<std::string> names_;
  std::vector<Analyzer> all_;
};

}  // namespace vmcore::cli
