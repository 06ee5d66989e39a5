// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/cli/text_line.h"

#include <fmt/format.h>

#include "src/base/printable.h"

namespace vmcore::cli {

void line(std::string& out, std::string_view name, std::string_view value, std::size_t column) {
  out += fmt::format("{:<{}}{}\n", name, column, printable(value));
}

}  // namespace vmcore::cli
