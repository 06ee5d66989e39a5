// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/printable_start.h"

#include "src/base/printable.h"

namespace vmcore {

std::string printable_start(std::string_view text, std::size_t most) {
  const auto cut = [&](std::string_view whole) {
    return whole.size() <= most ? whole : whole.substr(0, whole_characters(whole.substr(0, most)));
  };
  return std::string(cut(printable(cut(text))));
}

}  // namespace vmcore
