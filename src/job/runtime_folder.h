// The folder of this user for what is of no use after the host boots: /run/vmcorectl of root,
// $XDG_RUNTIME_DIR/vmcorectl of others.
#pragma once

#include <filesystem>

#include "src/base/result.h"

namespace vmcore::job {

// Its path, made or not; empty for a user without $XDG_RUNTIME_DIR.
std::filesystem::path runtime_folder();

// Whether it is a folder of this user's that nobody else may look into.
bool is_private(const std::filesystem::path& folder);

// Makes the folder where it is missing, in one that is there. An Error where it is not private
// then.
Result<> make_private(const std::filesystem::path& folder);

}  // namespace vmcore::job
