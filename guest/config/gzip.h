// gzip (RFC 1952), whole files in memory: what the modules of a capture image are packed with, and
// those of some distributions.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::config {

inline constexpr std::string_view kGzipMagic = "\x1f\x8b";

// The same bytes make the same bytes.
Result<std::string> gzip(std::string_view bytes);

// One member, as gzip() makes it. Errc::malformed where it is damaged, Errc::limit over `most`
// bytes.
Result<std::string> gunzip(std::string_view bytes, std::size_t most);

}  // namespace vmcore::guest::config
