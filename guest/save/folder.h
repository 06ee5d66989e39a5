// SPDX-License-Identifier: GPL-2.0-or-later
// Folders by their paths. This does not use <filesystem>: the streams and locales of the C++
// library that it pulls in would be a quarter of init.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::save {

// The names in a folder, sorted, without hidden names; none if it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

// Creates the folder and its missing parents, mode 0755.
Result<> make_folders(const std::string& path);

}  // namespace vmcore::guest::save
