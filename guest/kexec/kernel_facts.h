// SPDX-License-Identifier: GPL-2.0-or-later
// Facts of the running kernel from /proc and /sys, whose layout depends on its version.
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

// The release of the running kernel (uname -r).
std::string running_release();

// The number in the first of these files that exists.
std::optional<std::uint64_t> read_number(const root::Root& root,
                                         std::initializer_list<std::string_view> paths);

// Bytes reserved for the capture kernel; 0: none. Nothing if the kernel does not support kexec.
std::optional<std::uint64_t> crash_memory_size(const root::Root& root);
// Whether a kernel is loaded in the slot, by whichever program.
bool is_loaded(const root::Root& root, Slot slot);

struct MemoryRange {
  std::uint64_t first;
  std::uint64_t last;
  bool operator==(const MemoryRange&) const = default;
};
// A line of /proc/iomem: "  2b000000-3affffff : Crash kernel".
struct Resource {
  MemoryRange range;
  std::string name;
};
// The lines in their order. Users other than root see zeros, and get none.
std::vector<Resource> parse_resources(std::string_view iomem);
// The ranges that are reserved for a capture kernel.
std::vector<MemoryRange> crash_ranges(const std::vector<Resource>& resources);

// Whether the loaded capture kernel never has to be reloaded: the kernel updates it when CPUs and
// memory are added or removed (CONFIG_CRASH_HOTPLUG, Linux 6.6), or none can be.
bool stays_valid(const root::Root& root);

}  // namespace vmcore::guest::kexec
