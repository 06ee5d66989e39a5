// SPDX-License-Identifier: GPL-2.0-or-later
// Where another program of ours is.
#pragma once

#include <filesystem>
#include <string>

#include "src/base/result.h"

namespace vmcore {

// Beside this program, as in a build tree, or at `installed`, relative to the prefix that this
// program is installed under: "libexec/vmcorectl/vmcore-worker". Errc::not_found if it is at
// neither place.
Result<std::filesystem::path> find_own_program(const std::string& name,
                                               const std::string& installed);

}  // namespace vmcore
