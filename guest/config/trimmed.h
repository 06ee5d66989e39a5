// SPDX-License-Identifier: GPL-2.0-or-later
// Text without leading and trailing white space.
#pragma once

#include <string_view>

namespace vmcore::guest::config {

constexpr std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(kBlank) + 1 - first);
}

}  // namespace vmcore::guest::config
