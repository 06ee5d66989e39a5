// What a program needs beside it to run: told by its own ELF headers, never by running it.
#pragma once

#include <string>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::image {

// The program itself, its interpreter and its libraries, as paths in the root: the libraries in the
// folders of kLibraryPath (guest/config/capture_image.h). Errc::not_found names one that is in
// none.
Result<std::vector<std::string>> program_files(const root::Root& root, const std::string& program);

}  // namespace vmcore::guest::image
