// SPDX-License-Identifier: GPL-2.0-or-later
// StreamBuilder: a migration stream of QEMU, written section by section; what a test leaves out or
// gets wrong is on purpose.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "src/image/page.h"

namespace vmcore::builders {

class StreamBuilder {
 public:
  static constexpr unsigned kRam = 2;  // the number of RAM's section

  // Big-endian, in so many bytes.
  StreamBuilder& number(std::uint64_t value, int size) {
    for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) {
      bytes_.push_back(static_cast<std::byte>(value >> shift));
    }
    return *this;
  }
  StreamBuilder& raw(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  // A length of one byte, then the text.
  StreamBuilder& text(std::string_view text) { return number(text.size(), 1).raw(text); }

  StreamBuilder& header() { return raw("QEVM").number(3, 4); }
  StreamBuilder& configuration(std::string_view machine = "pc-q35-7.2") {
    return number(7, 1).number(machine.size(), 4).raw(machine);
  }
  struct Block {
    std::string_view name;
    std::uint64_t size;
  };
  StreamBuilder& ram_start(const std::vector<Block>& blocks) {
    std::uint64_t total = 0;
    for (const Block& block : blocks) {
      total += block.size;
    }
    number(1, 1).number(kRam, 4).text("ram").number(0, 4).number(4, 4);
    number(total | 0x04, 8);
    for (const Block& block : blocks) {
      text(block.name).number(block.size, 8);
    }
    return end_of_pages().footer(kRam);
  }
  StreamBuilder& ram_part() { return number(2, 1).number(kRam, 4); }
  // A page of that byte. Without a name: of the block that was named last.
  StreamBuilder& page(std::uint64_t offset, char fill, std::string_view block = {}) {
    word(offset | 0x08, block);
    return raw(std::string(kPageSize, fill));
  }
  StreamBuilder& zero_page(std::uint64_t offset, std::string_view block = {}, unsigned fill = 0) {
    return word(offset | 0x02, block).number(fill, 1);
  }
  StreamBuilder& word(std::uint64_t word, std::string_view block = {}) {
    return block.empty() ? number(word | 0x20, 8) : number(word, 8).text(block);
  }
  StreamBuilder& end_of_pages() { return number(0x10, 8); }
  StreamBuilder& footer(unsigned section) { return number(0x7e, 1).number(section, 4); }

  // The devices, and a description of them.
  StreamBuilder& device(std::string_view name, unsigned instance, unsigned version) {
    return number(4, 1).number(9, 4).text(name).number(instance, 4).number(version, 4);
  }
  StreamBuilder& description(std::string_view json) {
    return number(0, 1).number(6, 1).number(json.size(), 4).raw(json);
  }

  const std::vector<std::byte>& bytes() const { return bytes_; }
  // All but the last so many bytes.
  std::vector<std::byte> without(std::size_t count) const {
    return {bytes_.begin(), bytes_.end() - static_cast<std::ptrdiff_t>(count)};
  }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace vmcore::builders
