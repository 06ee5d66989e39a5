// SPDX-License-Identifier: GPL-2.0-or-later
// Who may change what this program believes: its configuration, its programs, its folders.
#pragma once

#include <sys/stat.h>

#include <filesystem>

#include "src/base/result.h"

namespace vmcore {

// Errc::denied, with what to do, if others than root and this user may write to what has that path
// and status, a group included.
Result<> check_ours(const struct stat& status, const std::filesystem::path& path);

}  // namespace vmcore
