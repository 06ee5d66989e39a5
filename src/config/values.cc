// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/config/values.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "src/base/number.h"
#include "src/base/printable.h"
#include "src/base/units.h"

namespace vmcore::config {
namespace {

using Type = Written::Type;

// One word ("none" of a limit) stands for no value; else `parse` says what the word is.
template <class Value, class Parse>
bool read_limit(const Written& written, Type type, std::optional<Value>& value, Parse parse,
                std::string_view nothing = "none") {
  if (written.is(Type::text) && written.word() == nothing) {
    value.reset();
    return true;
  }
  const std::optional<Value> read = written.is(type) ? parse(written.word()) : std::nullopt;
  value = read ? read : value;
  return read.has_value();
}

bool is_path(const std::string& text) {
  return text.starts_with('/') && text.size() < 4096 && is_printable(text);
}

template <class Texts>
std::string list_text(const Texts& texts) {
  std::string list;
  for (const auto& text : texts) {
    list += (list.empty() ? "" : ", ") + toml_text(std::string(text));
  }
  return "[" + list + "]";
}

template <class Value>
bool read_list(const Written& written, std::vector<Value>& value,
               bool (*is_right)(const std::string&)) {
  if (written.type != Type::list || !std::ranges::all_of(written.words, is_right)) {
    return false;
  }
  value.assign(written.words.begin(), written.words.end());
  return true;
}

template <class Number>
bool read_whole(const Written& written, const Whole& range, Number& value) {
  const auto read =
      written.is(Type::whole) ? parse_number<std::uint64_t>(written.word()) : std::nullopt;
  if (!read || *read < range.least || *read > range.most) {
    return false;
  }
  value = static_cast<Number>(*read);
  return true;
}

}  // namespace

// What is not printable cannot be written by hand, and is shown as printable() has it.
std::string toml_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char letter : printable(text)) {
    if (letter == '"' || letter == '\\') {
      quoted += '\\';
    }
    quoted += letter;
  }
  return quoted + "\"";
}

bool Flag::read(const Written& written, bool& value) const {
  if (!written.is(Type::flag) || (written.word() != "true" && written.word() != "false")) {
    return false;
  }
  value = written.word() == "true";
  return true;
}

bool Size::read(const Written& written, std::optional<std::uint64_t>& value) const {
  return read_limit(written, Type::text, value, parse_size);
}
std::string Size::show(const std::optional<std::uint64_t>& value) const {
  return toml_text(value ? size_text(*value) : "none");
}

bool AutoSize::read(const Written& written, std::optional<std::uint64_t>& value) const {
  return read_limit(written, Type::text, value, parse_size, "auto");
}
std::string AutoSize::show(const std::optional<std::uint64_t>& value) const {
  return toml_text(value ? size_text(*value) : "auto");
}

bool Share::read(const Written& written, std::optional<unsigned>& value) const {
  return read_limit(written, Type::text, value,
                    [](std::string_view text) -> std::optional<unsigned> {
                      const auto percent = take_number<unsigned>(text);
                      return text == "%" && percent && *percent <= 100 ? percent : std::nullopt;
                    });
}
std::string Share::show(const std::optional<unsigned>& value) const {
  return toml_text(value ? fmt::format("{}%", *value) : "none");
}

bool Count::read(const Written& written, std::optional<std::uint64_t>& value) const {
  return read_limit(written, Type::whole, value,
                    [](std::string_view text) { return parse_number<std::uint64_t>(text); });
}
std::string Count::show(const std::optional<std::uint64_t>& value) const {
  return value ? fmt::format("{}", *value) : toml_text("none");
}

bool Age::read(const Written& written, std::optional<std::chrono::seconds>& value) const {
  return read_limit(written, Type::text, value, parse_duration);
}
std::string Age::show(const std::optional<std::chrono::seconds>& value) const {
  return toml_text(value ? duration_text(*value) : "none");
}

bool Duration::read(const Written& written, std::chrono::seconds& value) const {
  constexpr std::chrono::seconds kMost(365 * 86'400);
  const auto read = written.is(Type::text) ? parse_duration(written.word()) : std::nullopt;
  if (!read || read->count() == 0 || *read > kMost) {
    return false;
  }
  value = *read;
  return true;
}
std::string Duration::show(std::chrono::seconds value) const {
  return toml_text(duration_text(value));
}

std::string Whole::what() const { return fmt::format("a whole number from {} to {}", least, most); }
bool Whole::read(const Written& written, std::uint64_t& value) const {
  return read_whole(written, *this, value);
}
bool Whole::read(const Written& written, unsigned& value) const {
  return most <= std::numeric_limits<unsigned>::max() && read_whole(written, *this, value);
}
std::string Whole::show(std::uint64_t value) const { return fmt::format("{}", value); }

std::string AutoWhole::what() const { return Whole{least, most}.what() + R"(, or "auto")"; }
bool AutoWhole::read(const Written& written, std::optional<unsigned>& value) const {
  const auto in_range = [this](std::string_view text) {
    const auto number = parse_number<unsigned>(text);
    return number && *number >= least && *number <= most ? number : std::nullopt;
  };
  return read_limit(written, Type::whole, value, in_range, "auto");
}
std::string AutoWhole::show(const std::optional<unsigned>& value) const {
  return value ? fmt::format("{}", *value) : toml_text("auto");
}

std::string Path::what() const {
  return or_none ? R"(an absolute path, or "")" : "an absolute path";
}
bool Path::read(const Written& written, std::filesystem::path& value) const {
  if (!written.is(Type::text) ||
      !(is_path(written.word()) || (or_none && written.word().empty()))) {
    return false;
  }
  value = written.word();
  return true;
}

bool User::read(const Written& written, std::string& value) const {
  const auto is_right = [](char letter) { return letter > ' ' && letter < 127 && letter != ':'; };
  if (!written.is(Type::text) || written.word().size() > 32 ||
      !std::ranges::all_of(written.word(), is_right)) {
    return false;
  }
  value = written.word();
  return true;
}

bool Uris::read(const Written& written, std::vector<std::string>& value) const {
  return read_list(
      written, value, +[](const std::string& text) {
        return text.find(':') != std::string::npos && text.size() < 4096 && is_printable(text);
      });
}
std::string Uris::show(const std::vector<std::string>& value) const { return list_text(value); }

bool Paths::read(const Written& written, std::vector<std::filesystem::path>& value) const {
  return read_list(written, value, is_path);
}
std::string Paths::show(const std::vector<std::filesystem::path>& value) const {
  return list_text(value);
}

}  // namespace vmcore::config
