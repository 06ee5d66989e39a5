// SPDX-License-Identifier: GPL-2.0-or-later
// Options whose value is a size.
#pragma once

#include <CLI/CLI.hpp>

namespace vmcore::cli {

// The option takes "200MiB" or "2G" (powers of 1024), or a number of bytes. A number without a unit
// that is less than a page is refused: whoever writes 50 means 50 of something larger. Returns the
// option.
CLI::Option* takes_size(CLI::Option* option);

}  // namespace vmcore::cli
