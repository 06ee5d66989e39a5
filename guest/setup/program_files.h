// What a program needs beside it to run: told by its own ELF headers, never by running it.
#pragma once

#include <string>
#include <vector>

#include "guest/setup/root.h"
#include "src/base/result.h"

namespace vmcore::guest {

// The program itself, its interpreter and its libraries, as paths in the root where the interpreter
// looks for them without a cache. Errc::not_found names a library that is in none of its folders.
Result<std::vector<std::string>> program_files(const Root& root, const std::string& program);

}  // namespace vmcore::guest
