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

}  // namespace vmcore::job
