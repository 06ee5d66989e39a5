// SPDX-License-Identifier: GPL-2.0-or-later
// CrashGroups: stored crashes that are the same, as `vmcorectl list --group --output json`
// (docs/schema/groups.json) prints them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/report/signature.h"

namespace vmcore::report {

// Crashes of one family of signatures; those without one by their title.
struct CrashGroup {
  CrashSignature signature = {};  // of the newest
  std::string title = {};         // one line for people; the guest's words
  std::uint64_t count = 0;
  std::vector<std::string> guests = {};  // their names
  std::uint64_t first = 0;               // seconds since the epoch
  std::uint64_t last = 0;
  std::string newest = {};  // its ID
};

struct CrashGroups {
  static constexpr std::string_view kSchema = "vmcorectl-groups/1";

  std::string store = {};  // its path
  std::vector<CrashGroup> groups = {};
};

std::string to_json(const CrashGroups& groups);

}  // namespace vmcore::report
