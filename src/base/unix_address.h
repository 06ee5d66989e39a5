// SPDX-License-Identifier: GPL-2.0-or-later
// The address of a UNIX socket by its path.
#pragma once

#include <sys/un.h>

#include <string>

#include "src/base/result.h"

namespace vmcore {

// Errc::invalid if the path is empty or has more than 107 bytes.
Result<sockaddr_un> unix_address(const std::string& path);

}  // namespace vmcore
