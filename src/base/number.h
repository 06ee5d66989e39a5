// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers in text, by std::from_chars: no plus sign, no spaces, no locale.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace vmcore {

// Takes the number off the front of `text`. Returns nothing, and leaves `text` unchanged, if `text`
// does not begin with a number or the number does not fit into `Number`.
template <std::integral Number>
std::optional<Number> take_number(std::string_view& text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc()) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// Parses the whole text as a number.
template <std::integral Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  const auto value = take_number<Number>(text, base);
  return text.empty() ? value : std::nullopt;
}

}  // namespace vmcore
