// SPDX-License-Identifier: GPL-2.0-or-later
// What the service does in the store. It waits for the store's lock: for the background.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

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

// What jobs that did not live to their end have kept of a crash that is whole now.
struct PartsOf {
  std::string whole_id = {};
  std::uint64_t event_us = 0;  // the time of its event, which all jobs of one crash were given
  // One of which it is known that its guest was not carried on after its memory was read.
  std::string known_id = {};
};
// Removes the parts of that guest's crash, and returns their IDs. A part that is held or read
// stays. Nothing is removed unless the whole crash is in the store with a dump that was opened. A
// part stays if its guest may have been carried on since: then it is not proven to be of this
// crash.
std::vector<std::string> remove_parts(const std::filesystem::path& store, const GuestId& guest,
                                      const PartsOf& parts);

struct FoundCrash {
  std::string id = {};
  bool whole = false;
};
// The crash of the guest of which an event of that time told (microseconds since the epoch), the
// whole one if there are parts of it. Nothing: it is not in the store, or not yet.
std::optional<FoundCrash> crash_of_event(const std::filesystem::path& store, const GuestId& guest,
                                         std::uint64_t event_us);

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
