// SPDX-License-Identifier: GPL-2.0-or-later
// The folder of this user for files that are useless after the host boots: /run/vmcorectl of root,
// $XDG_RUNTIME_DIR/vmcorectl of others.
#pragma once

#include <filesystem>

#include "src/base/result.h"

namespace vmcore {

// Its path, whether it exists or not; empty for a user without $XDG_RUNTIME_DIR.
std::filesystem::path runtime_folder();

// Whether it is a folder of this user with mode 0700.
bool is_private(const std::filesystem::path& folder);

// Creates the folder if it is missing, in an existing one. An Error if it is not private then.
Result<> make_private(const std::filesystem::path& folder);

}  // namespace vmcore
