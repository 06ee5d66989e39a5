// What the running kernel tells by /proc and /sys, in whatever layout it has.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "guest/kexec/kexec.h"
#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::kexec {

// The release of the kernel that runs (uname -r).
std::string running_release();

// The number in the first of these files that is there.
std::optional<std::uint64_t> read_number(const root::Root& root,
                                         std::initializer_list<std::string_view> paths);

// Bytes reserved for the capture kernel; 0: none. Nothing where the kernel knows no kexec.
std::optional<std::uint64_t> crash_memory_size(const root::Root& root);
// Whether a kernel waits in the slot, whoever loaded it.
bool is_loaded(const root::Root& root, Slot slot);

struct MemoryRange {
  std::uint64_t first;
  std::uint64_t last;
  bool operator==(const MemoryRange&) const = default;
};
// Where it lies: the "Crash kernel" lines of /proc/iomem, which show zeros to all but root.
std::vector<MemoryRange> parse_crash_ranges(std::string_view iomem);

// The kernel adapts what is loaded when CPUs and memory come and go (CONFIG_CRASH_HOTPLUG, Linux
// 6.6), or none can: it never has to be loaded anew.
bool stays_valid(const root::Root& root);

}  // namespace vmcore::guest::kexec
