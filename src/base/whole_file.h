// Small files that are read as a whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore {

inline constexpr std::size_t kMostRead = 16U << 20;

// From where the descriptor stands to the end, which /proc and /sys tell by no size. `name` is for
// errors. Errc::limit over `most` bytes.
Result<std::string> read_all(int fd, std::string_view name, std::size_t most = kMostRead);

// The file of that path.
Result<std::string> read_file(const std::string& path);

// Its first line, which is all that most files in /sys have; empty where it cannot be read.
std::string first_line(const std::string& path);

}  // namespace vmcore
