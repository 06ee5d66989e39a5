// SPDX-License-Identifier: GPL-2.0-or-later
// A picture or page that a verb writes into a file.
#pragma once

#include <string>

#include "src/base/result.h"
#include "src/cli/verb.h"

namespace vmcore::cli {

// Writes the document to `path`, a resolved_output(); "-" is standard output. Prints the remarks
// about the file, and sets common.kept. Returns the exit code.
Result<int> write_document(const std::string& document, const std::string& path, bool force,
                           const Common& common);

}  // namespace vmcore::cli
