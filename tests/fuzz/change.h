// SPDX-License-Identifier: GPL-2.0-or-later
// What a fuzzer does to bytes that are right, where mutations of its own would never come past
// their form.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/little_endian.h"

namespace vmcore::fuzz {

// The input tells changes: where (2 bytes), how many bytes go (1), how many come (1), those.
inline void change(std::vector<std::byte>& line, std::span<const std::byte> input) {
  while (input.size() >= 4) {
    const std::size_t at = *load<ul16>(input, 0) % (line.size() + 1);
    const auto gone =
        std::min<std::size_t>(std::to_integer<std::size_t>(input[2]), line.size() - at);
    const auto come =
        std::min<std::size_t>(std::to_integer<std::size_t>(input[3]), input.size() - 4);
    const auto place = line.begin() + static_cast<std::ptrdiff_t>(at);
    const auto bytes = input.subspan(4, come);
    line.insert(line.erase(place, place + static_cast<std::ptrdiff_t>(gone)), bytes.begin(),
                bytes.end());
    input = input.subspan(4 + come);
  }
}

// The first byte tells which of these texts is changed by the others; or they are the text.
inline std::string changed_text(std::span<const std::string> texts,
                                std::span<const std::byte> input) {
  if (input.empty()) {
    return {};
  }
  const std::size_t which = std::to_integer<std::size_t>(input[0]) % (texts.size() + 1);
  const auto original =
      which == texts.size() ? input.subspan(1) : std::as_bytes(std::span(texts[which]));
  std::vector<std::byte> bytes(original.begin(), original.end());
  if (which != texts.size()) {
    change(bytes, input.subspan(1));
  }
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace vmcore::fuzz
