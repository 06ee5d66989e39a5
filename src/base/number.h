// SPDX-License-Identifier: GPL-2.0-or-later
// Numbers in text, by std::from_chars: no sign of a plus, no spaces, no locale.
#pragma once

#include <charconv>
#include <concepts>
#include <optional>
#include <string_view>
#include <system_error>

namespace vmcore {

// The number that `text` begins with, which is taken off its front; nothing where there is none or
// it does not fit into `Number`, and `text` is as before.
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

// The number that `text` is from its first character to its last.
template <std::integral Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  const auto value = take_number<Number>(text, base);
  return text.empty() ? value : std::nullopt;
}

}  // namespace vmcore
