// SPDX-License-Identifier: GPL-2.0-or-later
// The bytes of an ELF dump, plain and flattened (whichever they claim to be).
#include <elf.h>

#include <algorithm>
#include <vector>

#include "tests/fuzz/read_everything.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vmcore::fuzz::open_and_read({data, size});
  // The fields that every ELF dump has, so that the rest is reached quickly.
  std::vector<std::uint8_t> bytes(data, data + size);
  if (size >= sizeof(Elf64_Ehdr)) {
    const std::uint8_t ident[] = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB};
    std::ranges::copy(ident, bytes.begin());
    bytes[offsetof(Elf64_Ehdr, e_type)] = ET_CORE;
    bytes[offsetof(Elf64_Ehdr, e_type) + 1] = 0;
    bytes[offsetof(Elf64_Ehdr, e_machine)] = EM_X86_64;
    bytes[offsetof(Elf64_Ehdr, e_machine) + 1] = 0;
    bytes[offsetof(Elf64_Ehdr, e_phentsize)] = sizeof(Elf64_Phdr);
    bytes[offsetof(Elf64_Ehdr, e_phentsize) + 1] = 0;
    vmcore::fuzz::open_and_read(bytes);
  }
  return 0;
}
