// SPDX-License-Identifier: GPL-2.0-or-later
// What QEMU's monitor for people says of its memory: whatever it says, the places are where memory
// can be.
#include <array>
#include <cstdint>
#include <cstdlib>

#include "src/acquire/qmp/memory_map.h"
#include "tests/fuzz/change.h"

namespace {

const std::vector<std::string> kTexts = {
    "FlatView #0\r\n AS \"I/O\", root: io\r\n Root memory region: io\r\n"
    "  0000000000000000-000000000000ffff (prio 0, i/o): io\r\n\r\n"
    "FlatView #1\r\n AS \"memory\", root: system\r\n AS \"cpu-memory-0\", root: system\r\n"
    "  0000000000000000-000000000009ffff (prio 0, ram): pc.ram KVM\r\n"
    "  00000000000c3000-00000000000e7fff (prio 0, rom): pc.ram @00000000000c3000 KVM\r\n"
    "  0000000100000000-000000013fffffff (prio 0, ram): pc.ram @00000000c0000000 KVM\r\n",
    "              Block Name    PSize              Offset               Used              "
    "Total\r\n"
    "                  pc.ram    4 KiB  0x0000000000000000 0x0000000020000000 "
    "0x0000000020000000\r\n"
    "                pc.bios     4 KiB  0x0000000020000000 0x0000000000040000 "
    "0x0000000000040000\r\n",
    "0000000000001000: 0x0000000500000002 0x0000000000031c92\r\n"
    "0000000000001010: 0x00000000000034b4 0x0000000500000002\r\n"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  const std::string text = fuzz::changed_text(kTexts, std::as_bytes(std::span(data, size)));
  if (const auto places = acquire::parse_memory_map(text)) {
    for (const sandbox::BlockPlace& place : *places) {
      if (place.range.size == 0 || place.range.size > kMaxPhysAddr ||
          place.range.begin.value > kMaxPhysAddr - place.range.size) {
        std::abort();
      }
    }
  }
  std::array<std::byte, 32> words{};
  static_cast<void>(acquire::parse_words(text, {0x1000}, words));
  const auto total = acquire::parse_block_total(text);
  if (total && (*total == 0 || *total > kMaxPhysAddr)) {
    std::abort();
  }
  return 0;
}
