// SPDX-License-Identifier: GPL-2.0-or-later
// SHA-256 (FIPS 180-4), by which an image tells what it was made of.
#pragma once

#include <string>
#include <string_view>

namespace vmcore::seal {

// In hexadecimal.
std::string sha256(std::string_view bytes);

}  // namespace vmcore::seal
