// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/cli/report.h"

#include <cstdio>

#include "src/command/exit_code.h"
#include "src/command/report_error.h"

namespace vmcore::guest::cli {

int report(const Result<>& result, const Common& common) {
  return result ? kExitDone : report_error(result.error(), common);
}

void print_remarks(const std::vector<Remark>& remarks) {
  for (const Remark& remark : remarks) {
    fmt::print(stderr, "vmcore-guest: {}: {}\n", remark_label(remark), printable(remark.text));
  }
}

}  // namespace vmcore::guest::cli
