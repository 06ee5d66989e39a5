// SPDX-License-Identifier: GPL-2.0-or-later
// Sizes and durations as people write them.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace vmcore {

// "90s", "15m", "2h", "7d". Nothing where the text is no duration.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);
// In the greatest unit that gives a whole number.
std::string duration_text(std::chrono::seconds duration);

// "20GiB" or "20G", "512MiB", "4096B": powers of 1024. Nothing where the text is no size, or is
// more than 64 bits hold.
std::optional<std::uint64_t> parse_size(std::string_view text);
// In the greatest unit that gives a whole number, so that no byte is lost: "20GiB".
std::string size_text(std::uint64_t bytes);
// "12.3 MiB": rounded, for people.
std::string human_size(std::uint64_t bytes);

}  // namespace vmcore
