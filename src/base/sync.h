// SPDX-License-Identifier: GPL-2.0-or-later
// What lasts through a power cut.
#pragma once

#include <string>

#include "src/base/result.h"

namespace vmcore {

// The contents of the open file. `path` is for errors.
Result<> sync_fd(int fd, const std::string& path);
// The name of the file: that it was made, or renamed.
Result<> sync_folder_of(const std::string& path);

}  // namespace vmcore
