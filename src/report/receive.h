// SPDX-License-Identifier: GPL-2.0-or-later
// ReceiveReport: what came of a dump that a guest's own capture kernel sends, as the JSON document
// of `vmcorectl receive --output json` (docs/schema/receive.json) has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/report/dump.h"

namespace vmcore::report {

// What the guest says of itself when its stream begins.
struct GuestClaim {
  std::string release = {};  // of the kernel that crashed
  std::string tag = {};      // of a crash on purpose
  std::uint64_t memory = 0;  // bytes of RAM
};

struct ReceiveReport {
  static constexpr std::string_view kSchema = "vmcorectl-receive/1";

  Result<DumpFile> dump = DumpFile{};
  std::string name = {};                 // the guest, or the line that it sends by
  std::optional<GuestClaim> claim = {};  // nothing where no stream began
  std::string crash = {};                // who says that it crashed (image/capture.h)
  std::string panic = {};                // the line of its log that says why
  std::string log = {};                  // the path of its kernel log
  std::string kept = {};                 // of `--keep`: the ID of the stored crash
};

std::string to_json(const ReceiveReport& report);
// Errc::malformed where the text is no such document.
Result<ReceiveReport> receive_from_json(std::string_view text);

}  // namespace vmcore::report
