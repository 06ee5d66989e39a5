// SPDX-License-Identifier: GPL-2.0-or-later
// Mounted file systems, and the open files of a task.
#pragma once

#include <vector>

#include "src/report/triage.h"
#include "src/triage/knowledge.h"

namespace vmcore::triage {

// Of the mount namespace of init.
report::Known<std::vector<report::Mount>> mount_section(Knowledge& knowledge);

// At most report::kMaxEntries.
Result<std::vector<report::OpenFile>> open_files(Knowledge& knowledge, VirtAddr task);

}  // namespace vmcore::triage
