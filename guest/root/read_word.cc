// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/root/read_word.h"

#include "guest/config/trimmed.h"

namespace vmcore::guest::root {

std::optional<std::string> read_word(const Root& root,
                                     std::initializer_list<std::string_view> paths) {
  for (const std::string_view path : paths) {
    if (const auto text = root.read(path)) {
      return std::string(config::trimmed(*text));
    }
  }
  return std::nullopt;
}

}  // namespace vmcore::guest::root
