// SPDX-License-Identifier: GPL-2.0-or-later
// A picture or page that a verb writes into a file.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"
#include "src/cli/verb.h"

namespace vmcore::cli {

// Writes the document to `path`, a resolved_output(); "-" is standard output. Prints the remarks
// about the file, and sets common.kept. Returns the exit code.
Result<int> write_document(const std::string& document, const std::string& path, bool force,
                           const Common& common);

// Whether the document of `option` and the JSON of `verb` would both go to standard output, which
// it says then: the exit code is kExitUsage.
bool clashes_with_json(const std::string& path, std::string_view verb, std::string_view option,
                       const Common& common);

}  // namespace vmcore::cli
