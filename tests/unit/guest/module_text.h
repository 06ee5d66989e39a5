// SPDX-License-Identifier: GPL-2.0-or-later
// Text for tests of compression: long, and regular as a module's bytes are.
#pragma once

#include <fmt/format.h>

#include <string>

namespace vmcore::guest {

inline std::string module_text() {
  std::string text;
  for (int i = 0; i < 20'000; ++i) {
    text += fmt::format("line {} of a module\n", i);
  }
  return text;
}

}  // namespace vmcore::guest
