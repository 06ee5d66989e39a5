// CheckReport: the findings of one subject.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "src/base/finding.h"

namespace vmcore::check {

// Of a guest, or of the host where `guest` is empty.
struct CheckReport {
  std::string guest;
  std::vector<Finding> findings;
  bool failed() const {
    return std::ranges::any_of(
        findings, [](const Finding& finding) { return finding.verdict == Verdict::fail; });
  }
};

}  // namespace vmcore::check
