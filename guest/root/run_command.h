// SPDX-License-Identifier: GPL-2.0-or-later
// Runs other programs.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::root {

// Runs a program by its absolute path, without a shell, and waits for it. The program inherits the
// output. An error if it cannot be started or does not exit with 0.
Result<> run_command(const std::vector<std::string>& words);

}  // namespace vmcore::guest::root
