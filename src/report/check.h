// SPDX-License-Identifier: GPL-2.0-or-later
// CheckReport: the findings of one guest, or of the host. The JSON document of `vmcorectl check
// --output json` (docs/schema/check.json) is one list of the findings of all that was checked.
#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/finding.h"
#include "src/base/result.h"

namespace vmcore::report {

// Of a guest, or of the host where `guest` is empty.
struct CheckReport {
  static constexpr std::string_view kSchema = "vmcorectl-check/1";

  std::string guest = {};
  std::vector<Finding> findings = {};
  bool failed() const {
    return std::ranges::any_of(
        findings, [](const Finding& finding) { return finding.verdict == Verdict::fail; });
  }
};

std::string to_json(std::span<const CheckReport> reports);
// Findings that follow each other and are of one guest make one report. Errc::malformed where the
// text is no such document.
Result<std::vector<CheckReport>> check_from_json(std::string_view text);

// What `vmcorectl check --fix` did to a domain's definition.
struct FixReport {
  static constexpr std::string_view kSchema = "vmcorectl-fix/1";

  std::string guest = {};
  bool changed = false;
  bool would_change = false;  // nothing was changed, for that was not asked (--dry-run)
  bool running = false;       // a change takes effect when the guest is stopped and started
  std::string diff = {};      // of the definitions, unified; empty where there is nothing to do
  std::string saved = {};     // the path of the old definition; empty where nothing was changed
  std::string skipped = {};   // why this domain is none to be changed; empty: it is one
};

std::string to_json(const FixReport& report);
// Errc::malformed where the text is no such document.
Result<FixReport> fix_from_json(std::string_view text);

}  // namespace vmcore::report
