// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/shared_memory.h"

#include <fstream>
#include <string>

#include "src/base/address.h"

namespace vmcore::acquire {
namespace {

using qmp::Json;

// Of shared memory, what the process has: "RssShmem:  3816448 kB", and huge pages.
std::uint64_t resident(std::uint64_t task) {
  std::ifstream file(fmt::format("/proc/{}/status", task));
  std::uint64_t sum = 0;
  std::string name;
  while (file >> name) {
    std::uint64_t kib = 0;
    if ((name == "RssShmem:" || name == "HugetlbPages:") && file >> kib) {
      sum += kib * 1024;
    }
    std::string rest;
    std::getline(file, rest);
  }
  return sum;
}

}  // namespace

Result<std::uint64_t> unallocated_shared_memory(SnapshotMonitor& monitor) {
  TRY_ASSIGN(const Json backends, monitor.execute("query-memdev"));
  std::uint64_t shared = 0;
  for (const Json& backend : backends.is_array() ? backends : Json::array()) {
    const std::uint64_t size = qmp::number_member(backend, "size").value_or(0);
    if (qmp::bool_member(backend, "share").value_or(false) && size < kMaxPhysAddr) {
      shared += size;
    }
  }
  if (shared == 0) {
    return 0;
  }
  TRY_ASSIGN(const Json cpus, monitor.execute("query-cpus-fast"));
  const auto thread = cpus.is_array() && !cpus.empty()
                          ? qmp::number_member(cpus.front(), "thread-id")
                          : std::nullopt;
  const std::uint64_t there = thread ? resident(*thread) : 0;
  return shared > there ? shared - there : 0;
}

}  // namespace vmcore::acquire
