// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/init/report_memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "src/base/whole_file.h"

namespace vmcore::guest::init {
namespace {

// The value of a line "NAME:  N kB" of /proc/meminfo; 0 if there is none.
long kib_of(const std::string& meminfo, std::string_view name) {
  const std::size_t at = meminfo.find(name);
  return at == std::string::npos ? 0 : std::strtol(meminfo.c_str() + at + name.size(), nullptr, 10);
}

}  // namespace

void report_memory(const save::Say& say) {
  const std::string meminfo = read_file("/proc/meminfo").value_or("");
  rusage children{};
  ::getrusage(RUSAGE_CHILDREN, &children);
  const long left = std::max(kib_of(meminfo, "MemAvailable:") - children.ru_maxrss, 0L);
  say(fmt::format("{} of {} MiB of memory were free", left >> 10,
                  kib_of(meminfo, "MemTotal:") >> 10));
}

}  // namespace vmcore::guest::init
