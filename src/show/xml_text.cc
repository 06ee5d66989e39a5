// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/show/xml_text.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace vmcore::show {
namespace {

// Length in bytes of the UTF-8 sequence that `bytes` begins with and that XML has a place for; 0
// where it begins with none.
std::size_t xml_character(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  if (byte(0) < 0x80) {
    return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
  }
  const std::size_t size = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || bytes.size() < size) {
    return 0;
  }
  std::uint32_t value = byte(0) & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
    value = value << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::array kLeast{0x80U, 0x800U, 0x1'0000U};
  const bool good = value >= kLeast[size - 2] && value <= 0x10'ffff && value >= 0xa0 &&
                    (value < 0xd800 || value > 0xdfff) && (value & 0xfffe) != 0xfffe;
  return good ? size : 0;
}

}  // namespace

std::string xml_text(std::string_view bytes, std::size_t most) {
  std::string out;
  for (; !bytes.empty(); --most) {
    if (most == 0) {
      return out + "\u2026";
    }
    const std::size_t size = xml_character(bytes);
    switch (size == 0 ? '\0' : bytes.front()) {
      case '\0':
        out += "\ufffd";
        break;
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += bytes.substr(0, size);
    }
    bytes.remove_prefix(std::max<std::size_t>(1, size));
  }
  return out;
}

}  // namespace vmcore::show
