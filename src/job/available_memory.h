// SPDX-License-Identifier: GPL-2.0-or-later
// The memory that this process may still use.
#pragma once

#include <cstdint>
#include <filesystem>

namespace vmcore::job {

// Bytes: the minimum of the host's available memory (MemAvailable) and of the rest of each memory
// limit of the process's cgroup and its parents (memory.max, cgroup v2). 0 if the host does not
// report it. `root` is the folder that contains /proc and /sys.
std::uint64_t available_memory(const std::filesystem::path& root = "/");

// Changes this process: if the host runs out of memory, it and its children are killed before any
// guest, and a guest that is paused for them then runs again (proc(5), oom_score_adj). For the
// process of one job, at its start; no job calls it.
void be_killed_first();

}  // namespace vmcore::job
