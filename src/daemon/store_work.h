// SPDX-License-Identifier: GPL-2.0-or-later
// What the service does in the store. It waits for the store's lock: for the background.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "src/base/result.h"
#include "src/daemon/guest_source.h"
#include "src/report/manifest.h"

namespace vmcore::daemon {

Result<> note_policy(const std::filesystem::path& store, const std::string& id,
                     const report::PolicyOutcome& outcome);

// The newest crash of that guest since `since` (microseconds since the epoch);
// empty: none.
std::string newest_crash(const std::filesystem::path& store, const GuestId& guest,
                         std::uint64_t since);

struct StoreUse {
  std::uint64_t bytes = 0;
  std::uint64_t crashes = 0;
};
// Nothing is in a store that does not exist yet.
Result<StoreUse> use_of(const std::filesystem::path& store);

// A crash in the store, and how full the store is with it.
struct SettledCrash {
  report::Manifest manifest = {};
  std::string folder = {};  // its path
  std::uint64_t bytes = 0;  // that it takes
  StoreUse store = {};
};
// Errc::not_found where it is not there; Errc::malformed where it is damaged.
Result<SettledCrash> read_settled(const std::filesystem::path& store, const std::string& id);

}  // namespace vmcore::daemon
