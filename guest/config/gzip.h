// SPDX-License-Identifier: GPL-2.0-or-later
// gzip (RFC 1952) of whole files in memory: the compression of the modules in a capture image, and
// of the modules of some distributions.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::config {

inline constexpr std::string_view kGzipMagic = "\x1f\x8b";

// Equal input gives equal output.
Result<std::string> gzip(std::string_view bytes);

// Unpacks one member, as gzip() makes it. Errc::malformed if the data is damaged, Errc::limit if
// the result is larger than `most` bytes.
Result<std::string> gunzip(std::string_view bytes, std::size_t most);

}  // namespace vmcore::guest::config
