// SPDX-License-Identifier: GPL-2.0-or-later
// Which paths a process may still use (Landlock, Linux 5.13).
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::sandbox {

// Files, and folders with all that is below.
struct PathRights {
  std::vector<std::string> reads = {};   // and runs
  std::vector<std::string> writes = {};  // and reads, makes and removes
};

// From here on this process can use these paths and no others, whoever may; no TCP, and where the
// kernel has that, no abstract sockets and no signals to others. A path that is not there is left
// out.
Result<> restrict_paths(const PathRights& rights);

}  // namespace vmcore::sandbox
