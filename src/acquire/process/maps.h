// SPDX-License-Identifier: GPL-2.0-or-later
// The mappings of a process, as /proc/PID/maps has them (proc(5)).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"

namespace vmcore::acquire {

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t offset = 0;  // of the file
  std::uint64_t device = 0;  // as stat's st_dev
  std::uint64_t inode = 0;   // 0: anonymous
  std::string path = {};     // "/memfd:pc.ram (deleted)", "[heap]", or nothing

  // What can hold a guest's RAM: memory or a file that is read, not a heap, a stack or code.
  bool may_be_ram() const;
  bool operator==(const Mapping&) const = default;
};

// Sorted by address. Errc::malformed, naming the line, for text of another shape.
Result<std::vector<Mapping>> parse_maps(std::string_view text);

}  // namespace vmcore::acquire
