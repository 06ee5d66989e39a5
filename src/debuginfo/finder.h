// SPDX-License-Identifier: GPL-2.0-or-later
// Finds the vmlinux and the modules with debug information of a kernel, and proves that they are
// of it. In this order: what the user names, the cache, where distributions put them, packages that
// the user names, debuginfod servers. Each file is looked for until it is found.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/debuginfo/kernel.h"
#include "src/report/debuginfo.h"

namespace vmcore::debuginfo {

struct Search {
  std::vector<std::string> from = {};  // files, folders, packages, archives
  // What packages and servers give is kept here, in a folder for each kernel. It is made.
  std::string cache = {};
  bool fetch = false;     // ask debuginfod servers
  std::string root = {};  // in place of the system's "/", without a slash at the end
  // One line of what takes long. May be empty.
  std::function<void(const std::string&)> progress = {};
};

// $XDG_CACHE_HOME/vmcorectl/symbols, ~/.cache/vmcorectl/symbols. Errc::not_found without a home.
Result<std::string> usual_cache();

// An Error only where the user named what is not there. What is not found is told by the report.
Result<report::DebuginfoReport> find_debuginfo(const WantedKernel& kernel, const Search& search);

}  // namespace vmcore::debuginfo
