// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/document.h"

#include <cstdio>
#include <span>

#include "src/base/sys.h"
#include "src/cli/dump_options.h"
#include "src/command/exit_code.h"
#include "src/job/output.h"

namespace vmcore::cli {

Result<int> write_document(const std::string& document, const std::string& path, bool force,
                           const Common& common) {
  if (path == "-") {
    std::fputs(document.c_str(), stdout);
    return kExitDone;
  }
  TRY_ASSIGN(job::Output output, job::Output::open(path, force, false));
  if (Result<> written = sys::write_full(output.fd(), std::as_bytes(std::span(document)));
      !written) {
    return in_context(std::move(written).error(), path);
  }
  job::DumpResult result;
  TRY(output.keep(result));
  common.kept = !result.path.empty();
  print_remarks(result.summary.remarks);
  return exit_code_of(result);
}

bool clashes_with_json(const std::string& path, std::string_view verb, std::string_view option,
                       const Common& common) {
  const bool clashes = common.json && path == "-";
  if (clashes) {
    fmt::print(stderr,
               "vmcorectl: {0}: {1} - and --output json both write to standard output: give {1} a "
               "file\n",
               verb, option);
  }
  return clashes;
}

}  // namespace vmcore::cli
