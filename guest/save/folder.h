// Folders, by paths. Not <filesystem>: with it come the C++ library's streams and locales, a
// quarter of init.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::save {

// The names in it, sorted, without those that begin with a dot; none where it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

// It and those above it, where they are missing; mode 0755.
Result<> make_folders(const std::string& path);

}  // namespace vmcore::guest::save
