// SPDX-License-Identifier: GPL-2.0-or-later
// Which crashes of a list are meant.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/report/manifest.h"

namespace vmcore::vault {

// Empty: any.
struct Filter {
  std::vector<std::string> guests = {};     // names or UUIDs, one of which fits
  std::string reason = {};                  // the word
  std::string signature = {};               // exact, its family, or a part of its title
  std::optional<std::uint64_t> since = {};  // seconds since the epoch
  std::optional<std::uint64_t> until = {};
};

// A damaged crash of which nothing is known fits only where nothing is asked for.
bool matches(const report::ListedCrash& crash, const Filter& filter);

}  // namespace vmcore::vault
