// SPDX-License-Identifier: GPL-2.0-or-later
// Summary: what a worker says at the end of a job: what it found in memory and, where it wrote a
// dump, what is in it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/report/bounds.h"

namespace vmcore::report {

struct ClassCount {
  std::string name;  // stable
  std::string title;
  std::uint64_t pages = 0;
};

struct Summary {
  std::string release = {};   // of the kernel, empty where none was found
  std::string build_id = {};  // of it, hex; empty where it exports none (before v5.9)
  unsigned level_asked = 0;
  unsigned level_reached = 0;
  bool incomplete = false;
  std::uint64_t ram_pages = 0;
  std::uint64_t kept_pages = 0;  // with those that are lost
  std::uint64_t lost_pages = 0;
  bool crashed = false;  // the guest's kernel says that it crashed
  // Whether the guest has a panic kernel loaded; nothing where that was not asked, or is not known.
  std::optional<bool> armed = {};
  bool callers = false;  // each line of the log that was asked for tells who wrote it
  std::vector<ClassCount> classes = {};
  std::vector<Remark> remarks = {};
};

}  // namespace vmcore::report
