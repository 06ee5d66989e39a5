// What memory this process may still use.
#pragma once

#include <cstdint>
#include <filesystem>

namespace vmcore::job {

// Bytes: the least of what the host has available (MemAvailable) and what is left of each memory
// limit of the process's cgroup and of those above it (memory.max, cgroup v2). 0 where the host
// does not tell. `root` is where /proc and /sys are looked for.
std::uint64_t available_memory(const std::filesystem::path& root = "/");

// Should the host run out of memory, this process and those that it starts go before any guest: a
// guest that waits for them runs on then (proc(5), oom_score_adj).
void be_killed_first();

// Bytes of a guest's memory that may be read ahead of their compression, so that the guest waits
// less: a quarter of what is available.
std::uint64_t read_ahead_room();

}  // namespace vmcore::job
