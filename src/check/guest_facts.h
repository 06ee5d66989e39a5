// SPDX-License-Identifier: GPL-2.0-or-later
// What was found out about a guest, to be judged.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/acquire/guest.h"
#include "src/acquire/setup.h"
#include "src/base/result.h"
#include "src/check/check_host.h"
#include "src/job/budget.h"
#include "src/report/summary.h"

namespace vmcore::check {

// A method, and why it cannot be used.
struct Way {
  acquire::Method method;
  Result<> usable = {};
};

struct GuestFacts {
  std::string name;    // as it is shown
  std::string domain;  // as commands take it (acquire/commands.h); empty for a QMP socket
  acquire::GuestSetup setup;
  // The rest of a guest that is active.
  std::vector<Way> ways = {};
  std::optional<acquire::GuestState> state = {};
  Result<> idle = {};
  std::uint64_t memory_size = 0;  // bytes of RAM
  // Of its pages; nothing without method direct.
  std::optional<Result<report::Summary>> census = {};
  // The pause of a dump, but for the pause: nothing where it does not run, or could not be read.
  std::optional<std::chrono::microseconds> rehearsed = {};
  TraceRights trace = {};
  job::Budget budget = {};            // of a dump
  std::filesystem::path folder = {};  // where its dump would go
  Result<std::uint64_t> room = 0;     // bytes that are free there
  std::vector<std::string> leftovers = {};
  acquire::Selection selection = {};  // how it was asked for
  bool may_be_off = false;            // one of all: it is no failure that it does not run

  bool usable(acquire::Method method) const;
};

// Null where there is none.
const report::Summary* census_of(const GuestFacts& facts);

}  // namespace vmcore::check
