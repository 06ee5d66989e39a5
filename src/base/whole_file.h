// SPDX-License-Identifier: GPL-2.0-or-later
// Small files that are read as a whole.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore {

inline constexpr std::size_t kMostRead = 16U << 20;

// From the descriptor's position to the end (files in /proc and /sys report no size). `name` is for
// errors. Errc::limit above `most` bytes.
Result<std::string> read_all(int fd, std::string_view name, std::size_t most = kMostRead);

// The file of that path.
Result<std::string> read_file(const std::string& path);

// Its first line, which is the whole content of most files in /sys; empty if it cannot be read.
std::string first_line(const std::string& path);

}  // namespace vmcore
