// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/available_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace vmcore::job {
namespace {

namespace fs = std::filesystem;

std::uint64_t available_of_host(const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  std::string name;
  std::uint64_t kib = 0;
  for (std::string unit; file >> name >> kib; std::getline(file, unit)) {
    if (name == "MemAvailable:") {
      return kib * 1024;
    }
  }
  return 0;
}

// "max" is no number.
std::optional<std::uint64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// "0::/user.slice/session-1.scope"
fs::path own_cgroup(const fs::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) {
      return line.substr(4);
    }
  }
  return {};
}

}  // namespace

std::uint64_t available_memory(const fs::path& root) {
  const fs::path top = root / "sys/fs/cgroup";
  std::uint64_t least = available_of_host(root);
  for (fs::path group = own_cgroup(root);; group = group.parent_path()) {
    const auto limit = number_in(top / group / "memory.max");
    const auto used = number_in(top / group / "memory.current");
    if (limit && used) {
      least = std::min(least, *limit > *used ? *limit - *used : 0);
    }
    if (group.empty()) {  // the top: in a container it has a limit as well
      break;
    }
  }
  return least;
}

}  // namespace vmcore::job
