// SPDX-License-Identifier: GPL-2.0-or-later
// The files that a program needs to run. They are read from its ELF headers; the program is not
// run.
#pragma once

#include <string>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

// The program, its interpreter and its libraries, as paths in the root. Libraries are searched in
// kLibraryPath (guest/config/capture_image.h); Errc::not_found names one that is missing.
Result<std::vector<std::string>> program_files(const root::Root& root, const std::string& program);

}  // namespace vmcore::guest::image
