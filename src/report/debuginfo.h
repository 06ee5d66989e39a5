// SPDX-License-Identifier: GPL-2.0-or-later
// DebuginfoReport: where the debug information of a kernel is, as `vmcorectl debuginfo --output
// json` (docs/schema/debuginfo.json) prints it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::report {

// A file with debug information of the kernel.
struct DebugFileFound {
  std::string path = {};
  std::string build_id = {};    // of the file; hex, empty where it has none
  std::string matched_by = {};  // "build-id", "banner", "release", "folder"
  std::string source = {};      // "installed", "cache", "given", "debuginfod"
  std::string alternate = {};   // path of its alternate file (dwz); empty: it has, or needs, none
};

struct DebugModule {
  std::string name = {};  // guest
  DebugFileFound file = {};
};

// A file that was looked at and is not of the kernel.
struct DebugFileRefused {
  std::string path = {};
  std::string why = {};  // completes the path to a sentence: "is of kernel 6.1.0-57-amd64 ..."
};

// How to get what was not found, by the distribution of the kernel.
struct PackageAdvice {
  std::string distribution = {};               // "Debian"; empty where it is not known
  std::string package = {};                    // its name; empty where there is none
  std::vector<std::string> repositories = {};  // lines of sources.list, or names of repositories
  std::vector<std::string> commands = {};      // to install it
  std::string note = {};
};

struct DebuginfoReport {
  static constexpr std::string_view kSchema = "vmcorectl-debuginfo/1";

  std::string release = {};   // guest
  std::string build_id = {};  // guest; hex, empty where it is not known
  std::string banner = {};    // guest; empty where it is not known
  std::optional<DebugFileFound> vmlinux = {};
  // Whether the modules that are loaded are known; else `modules` and what follows are empty.
  bool modules_known = false;
  std::vector<DebugModule> modules = {};
  std::string module_folder = {};                 // where most of them are; empty: none
  std::vector<std::string> missing_modules = {};  // guest
  std::vector<std::string> foreign_modules = {};  // guest; missing, and of no package of the kernel
  std::vector<DebugFileRefused> refused = {};
  std::optional<PackageAdvice> advice = {};  // where something is missing
  std::vector<Remark> remarks = {};

  bool is_complete() const { return vmlinux && missing_modules.empty(); }
};

std::string to_json(const DebuginfoReport& report);

}  // namespace vmcore::report
