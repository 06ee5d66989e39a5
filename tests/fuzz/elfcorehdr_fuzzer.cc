// SPDX-License-Identifier: GPL-2.0-or-later
// The ELF core header of a crashed kernel, and the notes that it leads to: the input is the page of
// the header and what follows it, in the memory of two kernels.
#include <algorithm>

#include "src/convert/crashed_kernel.h"
#include "src/kernel/elfcorehdr.h"
#include "tests/builders/two_kernels.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  constexpr std::size_t kMost = 64 << 10;
  static const MemoryImage image = [] {
    MemoryImage built = testing::TwoKernels().build();
    static_cast<testing::SparseMemory&>(*built.memory).tell_zero_pages();
    return built;
  }();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  std::vector<std::byte> bytes(kMost);
  std::ranges::copy(std::as_bytes(std::span(data, std::min(size, kMost))), bytes.begin());
  memory.write(testing::kCoreHeaderPlace, bytes);
  if (!kernel::read_elfcorehdr(memory, testing::kCoreHeaderPlace)) {
    return 0;
  }
  const auto subject = convert::find_subject(image, kernel::Search::registers);
  if (subject && subject->crashed) {
    static_cast<void>(ram_ranges(*subject->crashed->memory));
    std::vector<std::byte> page(4096 + 1);
    for (std::uint64_t at = 0; at < (1ULL << 26); at += 1ULL << 20) {
      static_cast<void>(subject->crashed->memory->read({at}, page));
    }
  }
  return 0;
}
