// SPDX-License-Identifier: GPL-2.0-or-later
// Default names of files.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace vmcore::job {

// The guest's name as one plain file name: whatever is not a letter, a digit or one of "._+@-" in
// it becomes %XX, a leading dot or dash too.
std::string file_name(std::string_view guest);

// "vm1-20261121T093000Z.vmcore", by file_name().
std::string dump_name(std::string_view guest, std::chrono::system_clock::time_point time);

}  // namespace vmcore::job
