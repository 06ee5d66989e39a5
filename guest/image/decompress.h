// Kernel modules as finit_module takes them: not compressed, whatever the distribution did.
#pragma once

#include <string>
#include <string_view>

#include "src/base/result.h"

namespace vmcore::guest::image {

// What xz, zstd or gzip made smaller, by its magic; everything else as it is. At most 256 MiB
// (Errc::limit).
Result<std::string> decompress(std::string_view bytes);

}  // namespace vmcore::guest::image
