// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/kexec/kernel_facts.h"

#include <sys/utsname.h>

#include <algorithm>

#include "guest/config/trimmed.h"
#include "guest/root/read_word.h"
#include "src/base/number.h"

namespace vmcore::guest::kexec {
std::string running_release() {
  utsname names{};
  ::uname(&names);
  return names.release;
}

std::optional<std::uint64_t> read_number(const root::Root& root,
                                         std::initializer_list<std::string_view> paths) {
  const auto word = root::read_word(root, paths);
  return word ? parse_number<std::uint64_t>(*word, 10) : std::nullopt;
}

// Linux 6.19 introduced /sys/kernel/kexec; the older files will be removed.
std::optional<std::uint64_t> crash_memory_size(const root::Root& root) {
  return read_number(root, {"/sys/kernel/kexec/crash_size", "/sys/kernel/kexec_crash_size"});
}

bool is_loaded(const root::Root& root, Slot slot) {
  const auto loaded =
      slot == Slot::crash
          ? read_number(root, {"/sys/kernel/kexec/crash_loaded", "/sys/kernel/kexec_crash_loaded"})
          : read_number(root, {"/sys/kernel/kexec/loaded", "/sys/kernel/kexec_loaded"});
  return loaded.value_or(0) != 0;
}

std::vector<Resource> parse_resources(std::string_view iomem) {
  constexpr std::string_view kBetween = " : ";
  std::vector<Resource> resources;
  while (!iomem.empty()) {
    const std::string_view line = iomem.substr(0, iomem.find('\n'));
    iomem.remove_prefix(std::min(line.size() + 1, iomem.size()));
    const std::size_t middle = line.find(kBetween);
    if (middle == std::string_view::npos) {
      continue;
    }
    const std::string_view range = config::trimmed(line.substr(0, middle));
    const std::size_t dash = std::min(range.find('-'), range.size());
    const auto first = parse_number<std::uint64_t>(range.substr(0, dash), 16);
    const auto last =
        parse_number<std::uint64_t>(range.substr(std::min(dash + 1, range.size())), 16);
    if (first && last && *first < *last) {
      resources.push_back({{*first, *last}, std::string(line.substr(middle + kBetween.size()))});
    }
  }
  return resources;
}

std::vector<MemoryRange> crash_ranges(const std::vector<Resource>& resources) {
  std::vector<MemoryRange> ranges;
  for (const Resource& resource : resources) {
    if (resource.name == "Crash kernel") {
      ranges.push_back(resource.range);
    }
  }
  return ranges;
}

bool stays_valid(const root::Root& root) {
  const auto adapts = [&](std::string_view kind) {
    return read_number(root, {fmt::format("/sys/devices/system/{}/crash_hotplug", kind)}) == 1;
  };
  const auto possible = root::read_word(root, {"/sys/devices/system/cpu/possible"});
  const bool cpus_come = possible != root::read_word(root, {"/sys/devices/system/cpu/present"});
  const bool memory_comes = root.exists("/sys/devices/system/memory/block_size_bytes");
  return (adapts("cpu") || !cpus_come) && (adapts("memory") || !memory_comes);
}

}  // namespace vmcore::guest::kexec
