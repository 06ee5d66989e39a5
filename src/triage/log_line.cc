// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/log_line.h"

#include <algorithm>
#include <optional>

#include "src/base/number.h"

namespace vmcore::triage {
namespace {

// A prefix is at most this long.
constexpr std::size_t kLongestPrefix = 128;
constexpr std::string_view kSpaces(" \t\r\n\0", 5);
constexpr std::string_view kDigits = "0123456789";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(kSpaces) - begin + 1);
}

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos;
}

// ESC [ ... letter
void drop_colours(std::string_view& text) {
  while (text.starts_with("\x1b[")) {
    const std::size_t end = text.find_first_not_of("0123456789;?", 2);
    if (end == std::string_view::npos) {
      return;
    }
    text = trimmed(text.substr(end + 1));
  }
}

// What stands in "[...]" at the front.
std::optional<std::string_view> front_bracket(std::string_view text) {
  if (!text.starts_with('[')) {
    return std::nullopt;
  }
  const std::size_t end = text.substr(0, kLongestPrefix).find(']');
  return end == std::string_view::npos ? std::nullopt : std::optional(text.substr(1, end - 1));
}

// "    1.234567", or "Sun Nov 29 12:00:00 2026" as dmesg -T has it.
bool is_time(std::string_view content) {
  const std::string_view text = trimmed(content);
  const std::size_t dot = text.find('.');
  if (dot != std::string_view::npos) {
    return is_digits(text.substr(0, dot)) && text.size() - dot > 3 &&
           is_digits(text.substr(dot + 1));
  }
  return text.size() == 24 && text[3] == ' ' && text[13] == ':' && text[16] == ':';
}

bool is_caller(std::string_view content) {
  const std::string_view text = trimmed(content);
  return text.size() > 1 && (text[0] == 'T' || text[0] == 'C') && is_digits(text.substr(1));
}

void drop_bracket(std::string_view& text) { text = trimmed(text.substr(text.find(']') + 1)); }

// "<4>", or "<12>".
void drop_level(std::string_view& text) {
  const std::size_t end = text.substr(0, 5).find('>');
  if (text.starts_with('<') && end != std::string_view::npos &&
      is_digits(text.substr(1, end - 1))) {
    text = trimmed(text.substr(end + 1));
  }
}

// "4,1234,567890,-,caller=T1;", with "6.4.0," in front where netconsole prepends the release.
void drop_record_header(std::string_view& text, LogLine& line) {
  const std::size_t end = text.substr(0, kLongestPrefix).find(';');
  if (end == std::string_view::npos) {
    return;
  }
  const std::string_view header = text.substr(0, end);
  const std::size_t commas = static_cast<std::size_t>(std::ranges::count(header, ','));
  if (commas < 3 || header[0] < '0' || header[0] > '9' ||
      header.find(' ') != std::string_view::npos) {
    return;
  }
  const std::size_t caller = header.find("caller=");
  if (caller != std::string_view::npos) {
    line.caller = header.substr(caller + 7, header.find(',', caller) - caller - 7);
  }
  text = trimmed(text.substr(end + 1));
}

// "Nov 29 12:00:00 host kernel: ", "2026-11-29T12:00:00.123456+00:00 host kernel: ".
void drop_syslog(std::string_view& text) {
  const std::string_view front = text.substr(0, kLongestPrefix);
  const std::size_t end = front.find(" kernel: ");
  const std::size_t colon = front.find(':');
  if (end != std::string_view::npos && colon < end && colon >= 2 && colon + 3 < end &&
      is_digits(front.substr(colon - 2, 2)) && is_digits(front.substr(colon + 1, 2))) {
    text = trimmed(text.substr(end + 9));
  }
}

// "host:~# [   12.345678] sysrq: ..."
void drop_before_time(std::string_view& text) {
  for (std::size_t at = text.find('[', 1); at != std::string_view::npos;
       at = text.find('[', at + 1)) {
    const auto content = front_bracket(text.substr(at));
    if (content && is_time(*content)) {
      text = text.substr(at);
      return;
    }
  }
}

bool drop_time(std::string_view& text) {
  const auto content = front_bracket(text);
  if (!content || !is_time(*content)) {
    return false;
  }
  drop_bracket(text);
  return true;
}

}  // namespace

LogLine without_prefixes(std::string_view raw) {
  LogLine line;
  std::string_view text = trimmed(raw);
  drop_colours(text);
  drop_syslog(text);
  drop_record_header(text, line);
  drop_level(text);
  if (!drop_time(text)) {
    drop_before_time(text);
    drop_time(text);
  }
  if (const auto content = front_bracket(text); content && is_caller(*content)) {
    line.caller = trimmed(*content);
    drop_bracket(text);
  }
  drop_level(text);
  line.text = text;
  return line;
}

}  // namespace vmcore::triage
