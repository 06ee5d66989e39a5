// SPDX-License-Identifier: GPL-2.0-or-later
// Unpacks kernel modules, which distributions compress differently.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::image {

// Unpacks xz, zstd or gzip, recognised by its magic; returns other data unchanged. Errc::limit if
// the result is larger than 256 MiB.
Result<std::string> decompress(std::string_view bytes);

}  // namespace vmcore::guest::image
