// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/vault/crash_id.h"

#include <algorithm>
#include <cstdint>

#include "src/base/number.h"
#include "src/base/result.h"
#include "src/base/utc.h"

namespace vmcore::vault {
namespace {

constexpr std::string_view kStamp = "00000000T000000Z-";  // 0: a digit
constexpr std::size_t kMostOfAName = 64;
constexpr std::size_t kFewestDigits = 6;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_plain(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_';
}

std::string plain(std::string_view name) {
  if (name.empty()) {
    return "unknown";
  }
  std::string text(name.substr(0, kMostOfAName));
  std::ranges::replace_if(
      text, [](char c) { return !is_plain(c); }, '_');
  return text;
}

std::string stamp(std::uint64_t time) {
  constexpr std::uint64_t kMost = INT64_MAX;
  return utc_stamp(static_cast<std::int64_t>(std::min(time, kMost)));
}

bool begins_with_stamp(std::string_view text) {
  return text.size() > kStamp.size() &&
         std::ranges::equal(text.substr(0, kStamp.size()), kStamp, [](char c, char form) {
           return form == '0' ? is_digit(c) : c == form;
         });
}

}  // namespace

std::string crash_id(std::uint64_t time, std::string_view host, std::string_view guest,
                     std::uint64_t number) {
  return fmt::format("{}-{}-{}-{:06}", stamp(time), plain(host), plain(guest), number);
}

std::optional<std::uint64_t> number_of(std::string_view id) {
  const std::size_t dash = id.rfind('-');
  const bool has_form = begins_with_stamp(id) && dash >= kStamp.size() &&
                        id.size() - dash > kFewestDigits &&
                        std::ranges::all_of(id, [](char c) { return is_plain(c) || c == '-'; });
  return has_form ? parse_number<std::uint64_t>(id.substr(dash + 1)) : std::nullopt;
}

}  // namespace vmcore::vault
