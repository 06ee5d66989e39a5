// SPDX-License-Identifier: GPL-2.0-or-later
// SHA-256 (FIPS 180-4), by which an image tells what it was made of, and a stored crash what is in
// its files.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::seal {

// In hexadecimal.
std::string sha256(std::string_view bytes);

// Of all bytes of the file, read with pread.
Result<std::string> sha256_of(int fd);

}  // namespace vmcore::seal
