// SPDX-License-Identifier: GPL-2.0-or-later
// One conversion from the host's view: open, stage, let the worker work, commit.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "src/base/result.h"
#include "src/image/conversion.h"
#include "src/report/summary.h"
#include "src/sandbox/messages.h"
#include "src/staging/staged_file.h"

namespace vmcore::job {

// How the dump is to be made and kept, whatever its source.
struct DumpOptions {
  Conversion how = {};
  bool bypass_cache = false;  // what is written is not left in the page cache
  bool strict = false;        // less than was asked for is a failure, and nothing is kept
  bool force = false;         // an existing output is replaced
};

struct DumpResult {
  report::Summary summary = {};
  std::filesystem::path path = {};  // of what was kept; empty for a dry run and standard output
  std::optional<std::uint64_t> size_bytes = {};  // of what was kept; nothing for a dry run
  bool name_may_go = false;  // by a power cut, for its folder could not be synced
  // Everything that was asked for is there to stay, and nothing that was to be left out.
  bool as_asked() const {
    return !summary.incomplete && !name_may_go &&
           (summary.level_reached & summary.level_asked) == summary.level_asked;
  }
};

using OnProgress = std::function<void(const sandbox::Event&)>;

// An incomplete dump is kept as OUTPUT.incomplete or, where that is taken, as OUTPUT.incomplete.1
// and so on: it never replaces a file. `output` "-" is standard output: the dump is staged in
// $TMPDIR and copied when it is complete. Given up with Errc::cancelled when `cancel`
// becomes readable (-1: never).
Result<DumpResult> convert_file(const std::filesystem::path& input,
                                const std::filesystem::path& output, const DumpOptions& options,
                                const OnProgress& on_progress, int cancel);

}  // namespace vmcore::job
