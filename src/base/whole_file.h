// Small files that are read as a whole.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore {

// From where the descriptor stands to the end, which /proc and /sys tell by no size. `name` is for
// errors. Errc::limit over 16 MiB.
Result<std::string> read_all(int fd, std::string_view name);

// The file of that path.
Result<std::string> read_file(const std::string& path);

}  // namespace vmcore
