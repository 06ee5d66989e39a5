// SPDX-License-Identifier: GPL-2.0-or-later
// A unified kernel image as text: an EFI program of two sections, .osrel and .linux.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace vmcore::guest {

constexpr std::size_t kUnifiedSections = 64 + 24 + 240;  // where their headers lie
constexpr std::size_t kUnifiedLinux = 0x400;

inline std::string unified_image(const std::string& linux) {
  std::string bytes(kUnifiedLinux, '\0');
  const auto put = [&bytes](std::size_t at, auto value) {
    std::memcpy(&bytes.at(at), &value, sizeof value);
  };
  bytes.replace(0, 2, "MZ").replace(64, 2, "PE");
  put(0x3c, std::uint32_t{64});
  put(64 + 6, std::uint16_t{2});     // sections
  put(64 + 20, std::uint16_t{240});  // the optional header's size
  bytes.replace(kUnifiedSections, 6, ".osrel").replace(kUnifiedSections + 40, 6, ".linux");
  put(kUnifiedSections + 48, static_cast<std::uint32_t>(linux.size()));
  put(kUnifiedSections + 56, static_cast<std::uint32_t>(linux.size() + 0x200));  // padded
  put(kUnifiedSections + 60, static_cast<std::uint32_t>(kUnifiedLinux));
  return bytes + linux + std::string(0x200, '\0');
}

}  // namespace vmcore::guest
