// SPDX-License-Identifier: GPL-2.0-or-later
// The start of a bzImage, its fields where Documentation/arch/x86/boot.rst has them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace vmcore::guest {

struct Header {
  std::vector<std::byte> bytes = std::vector<std::byte>(0x1000);

  Header() {
    text(0x202, "HdrS");
    put<std::uint16_t>(0x206, 0x20f);
    put<std::uint16_t>(0x20e, 0x300);  // the version stands at 0x500
    put<std::uint16_t>(0x236, 0x7f);
    put<std::uint32_t>(0x238, 2047);
    put<std::uint32_t>(0x260, 0x3f98000);
    text(0x500, "6.1.0-56-amd64 (debian-kernel@lists.debian.org) #1 SMP");
  }
  template <class T>
  void put(std::size_t offset, T value) {
    std::memcpy(&bytes.at(offset), &value, sizeof value);
  }
  void text(std::size_t offset, const char* value) {
    std::memcpy(&bytes.at(offset), value, std::strlen(value));
  }
};

inline std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace vmcore::guest
