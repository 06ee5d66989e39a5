// SPDX-License-Identifier: GPL-2.0-or-later
// The input is the guest's memory; its first words are the address, the root and the mask.
#include <cstring>

#include "src/kernel/arch/arch.h"
#include "tests/builders/kernel_memory.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using vmcore::PhysAddr;
  using vmcore::kernel::architecture_of;
  constexpr std::size_t kMemory = 64 << 10;
  struct Head {
    std::uint64_t address, root, mask;
  } head{};
  if (size < sizeof(head)) {
    return 0;
  }
  std::memcpy(&head, data, sizeof(head));
  vmcore::testing::SparseMemory memory({{PhysAddr{0}, kMemory}});
  memory.write(PhysAddr{0}, std::as_bytes(std::span(data, std::min(size, kMemory))));
  for (const unsigned levels : {4U, 5U}) {
    const vmcore::kernel::PageTables tables(architecture_of({vmcore::Arch::x86_64}), memory,
                                            PhysAddr{head.root % kMemory}, levels, head.mask);
    const auto mapping = tables.translate({head.address});
    if (mapping && (mapping->size == 0 || mapping->address.value >= vmcore::kMaxPhysAddr)) {
      __builtin_trap();
    }
  }
  return 0;
}
