// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/units.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "src/base/number.h"

namespace vmcore {
namespace {

struct Unit {
  std::string_view name;
  std::string_view short_name;
  std::uint64_t worth;
};

// The greatest first.
constexpr Unit kTimes[] = {{"d", "d", 86'400}, {"h", "h", 3600}, {"m", "m", 60}, {"s", "s", 1}};
constexpr Unit kSizes[] = {{"TiB", "T", 1ULL << 40},
                           {"GiB", "G", 1ULL << 30},
                           {"MiB", "M", 1ULL << 20},
                           {"KiB", "K", 1ULL << 10},
                           {"B", "B", 1}};

template <std::size_t N>
std::optional<std::uint64_t> parse(std::string_view text, const Unit (&units)[N]) {
  const auto count = take_number<std::uint64_t>(text);
  for (const Unit& unit : units) {
    if (count && (text == unit.name || text == unit.short_name)) {
      const bool fits = *count <= std::numeric_limits<std::uint64_t>::max() / unit.worth;
      return fits ? std::optional(*count * unit.worth) : std::nullopt;
    }
  }
  return std::nullopt;
}

template <std::size_t N>
std::string text_of(std::uint64_t value, const Unit (&units)[N]) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.worth == 0) {
      return fmt::format("{}{}", value / unit.worth, unit.name);
    }
  }
  return fmt::format("0{}", units[N - 1].name);
}

}  // namespace

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  constexpr std::uint64_t kMost = 1'000'000 * 86'400ULL;
  const auto seconds = parse(text, kTimes);
  if (!seconds || *seconds > kMost) {
    return std::nullopt;
  }
  return std::chrono::seconds(*seconds);
}

std::string duration_text(std::chrono::seconds duration) {
  return text_of(static_cast<std::uint64_t>(duration.count()), kTimes);
}

std::optional<std::uint64_t> parse_size(std::string_view text) { return parse(text, kSizes); }

std::string size_text(std::uint64_t bytes) { return text_of(bytes, kSizes); }

std::string human_size(std::uint64_t bytes) {
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace vmcore
