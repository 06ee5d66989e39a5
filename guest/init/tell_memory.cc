#include "guest/init/tell_memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>

namespace vmcore::guest {

void tell_memory(const Say& say) {
  std::map<std::string, long> kib;
  std::ifstream lines("/proc/meminfo");
  std::string unit;
  for (std::string name; lines >> name >> kib[name];) {
    std::getline(lines, unit);
  }
  rusage children{};
  ::getrusage(RUSAGE_CHILDREN, &children);
  const long left = std::max(kib["MemAvailable:"] - children.ru_maxrss, 0L);
  say(fmt::format("{} of {} MiB of memory were left", left >> 10, kib["MemTotal:"] >> 10));
}

}  // namespace vmcore::guest
