// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/text_line.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/printable.h"

namespace vmcore::show {

void line(std::string& out, std::string_view name, std::string_view value, std::size_t column) {
  out += fmt::format("{:<{}}{}\n", name, column, printable(value));
}

std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i + 1 < row.size(); ++i) {
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line += row.back();
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace vmcore::show
