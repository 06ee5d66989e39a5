// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/shell.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/printable.h"

namespace vmcore {
namespace {

// No shell makes anything of these, wherever in a word they stand. A tilde and a brace would be
// something only in places; they are quoted.
bool is_plain(char c) {
  constexpr std::string_view kPlain = "_-./:@%+,=";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kPlain.find(c) != std::string_view::npos;
}

// Octal takes three digits at most, so that no digit behind it is drawn in; \x takes any number in
// some shells.
std::string in_dollar_quotes(std::string_view word) {
  std::string out = "$'";
  for (const char letter : word) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool as_is = byte >= 0x20 && byte < 0x7f && letter != '\'' && letter != '\\';
    out += as_is ? std::string(1, letter) : fmt::format("\\{:03o}", byte);
  }
  return out + "'";
}

}  // namespace

std::string shell_quoted(std::string_view word) {
  // In front, zsh takes = for the path of a command.
  if (!word.empty() && word.front() != '=' && std::ranges::all_of(word, is_plain)) {
    return std::string(word);
  }
  return is_printable(word) ? single_quoted(word) : in_dollar_quotes(word);
}

std::string single_quoted(std::string_view word) {
  std::string out = "'";
  for (const char letter : word) {
    out += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  }
  return out + "'";
}

std::string shell_command(std::initializer_list<std::string_view> words) {
  return shell_command(std::vector<std::string>(words.begin(), words.end()));
}

std::string shell_command(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    line += (line.empty() ? "" : " ") + shell_quoted(word);
  }
  return line;
}

}  // namespace vmcore
