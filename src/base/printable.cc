// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/base/printable.h"

#include <fmt/format.h>

#include <cstdint>

namespace vmcore {
namespace {

// The bytes of a character that begins with this one; 0: none begins so.
std::size_t length_by(unsigned char first) {
  if (first < 0x80) {
    return 1;
  }
  if (first < 0xc2 || first > 0xf4) {
    return 0;
  }
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

struct Character {
  std::size_t length = 0;  // 0: no UTF-8
  std::uint32_t code = 0;
};

// RFC 3629: no longer form than needed, no surrogates, nothing beyond U+10FFFF.
Character first_of(std::string_view text) {
  const auto first = static_cast<unsigned char>(text.front());
  const std::size_t length = length_by(first);
  if (length == 0 || length > text.size()) {
    return {};
  }
  constexpr unsigned kMasks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
  std::uint32_t code = first & kMasks[length];
  for (std::size_t i = 1; i < length; ++i) {
    if (!continues(text[i])) {
      return {};
    }
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  }
  constexpr std::uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[length] || code > 0x10ffff || surrogate) {
    return {};
  }
  return {length, code};
}

// Unicode 15: Bidi_Control, and the separators that some terminals take for newlines.
bool steers(std::uint32_t code) {
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool bidirectional = code == 0x61c || code == 0x200e || code == 0x200f ||
                             (code >= 0x202a && code <= 0x202e) ||
                             (code >= 0x2066 && code <= 0x2069);
  return control || bidirectional || code == 0x2028 || code == 0x2029;
}

std::string escaped(std::string_view text, std::string_view kept) {
  std::string out;
  while (!text.empty()) {
    const Character character = first_of(text);
    const std::string_view bytes = text.substr(0, character.length == 0 ? 1 : character.length);
    const bool stays = character.length != 0 &&
                       (!steers(character.code) || kept.find(bytes) != std::string_view::npos);
    if (stays) {
      out += bytes;
    } else {
      for (const char byte : bytes) {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
      }
    }
    text.remove_prefix(bytes.size());
  }
  return out;
}

}  // namespace

std::string printable(std::string_view text) { return escaped(text, ""); }

std::string printable_lines(std::string_view text) { return escaped(text, "\n\t"); }

std::size_t whole_characters(std::string_view text) {
  constexpr std::size_t kLongest = 4;
  for (std::size_t back = 1; back < kLongest && back <= text.size(); ++back) {
    const char c = text[text.size() - back];
    if (continues(c)) {
      continue;
    }
    const bool begun = length_by(static_cast<unsigned char>(c)) > back;
    return begun ? text.size() - back : text.size();
  }
  return text.size();
}

bool is_printable(std::string_view text) { return printable(text) == text; }

}  // namespace vmcore
