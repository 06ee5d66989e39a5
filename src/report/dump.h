// SPDX-License-Identifier: GPL-2.0-or-later
// DumpReport: what came of a dump or a conversion, as the JSON document of `vmcorectl dump` and
// `convert --output json` (docs/schema/dump.json) has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/result.h"
#include "src/image/capture.h"
#include "src/report/self_check.h"
#include "src/report/summary.h"

namespace vmcore::report {

// A dump that was written, or planned.
struct DumpFile {
  std::string path = {};                   // empty where it has no name: standard output, dry run
  std::optional<std::uint64_t> size = {};  // bytes; nothing for a dry run
  Summary summary = {};                    // without `crashed` and `armed`
  bool as_asked = false;                   // all that was asked for, and nothing else
};

// How the guest fared.
struct DumpedGuest {
  GuestIdentity identity = {};
  std::uint64_t memory = 0;  // bytes of RAM
  std::string state_before = {};
  std::string state_after = {};  // empty where it cannot be seen
  bool as_found = false;
  std::string method = {};
  std::string consistency = {};
  CaptureCost cost = {};
  std::vector<Remark> remarks = {};
};

// What was done with the guest then (--then).
struct ThenOutcome {
  std::string action = {};
  bool done = false;
  std::string error = {};     // why it failed
  std::string withheld = {};  // why it was not carried out
  std::string by_hand = {};   // the command that does it
};

struct DumpReport {
  static constexpr std::string_view kSchema = "vmcorectl-dump/1";

  Result<DumpFile> dump = DumpFile{};
  std::optional<DumpedGuest> guest = {};  // nothing where none was touched, and of `convert`
  std::optional<ThenOutcome> then = {};
  std::string kept = {};    // of `--keep`: the ID of the stored crash; empty where none was kept
  std::string memory = {};  // why no memory was dumped, on purpose: "not kept: it repeats ..."
  std::optional<SelfCheck> self_check = {};  // where it was asked for
};

std::string to_json(const DumpReport& report);
// Errc::malformed where the text is no such document.
Result<DumpReport> dump_from_json(std::string_view text);

}  // namespace vmcore::report
