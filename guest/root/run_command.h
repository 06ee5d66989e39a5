// Other programs, where they know what vmcore-guest does not.
#pragma once

#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::guest::root {

// Runs a program by its absolute path (no shell) and waits for it. Its output is passed on. Fails
// where it cannot be run or does not exit with 0.
Result<> run_command(const std::vector<std::string>& words);

}  // namespace vmcore::guest::root
