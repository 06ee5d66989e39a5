// SPDX-License-Identifier: GPL-2.0-or-later
// The header of an ELF core file (elf(5)), as far as all that we write have it in common.
#pragma once

#include <elf.h>

#include <cstring>

namespace vmcore {

// 64-bit and little-endian, for a machine (EM_X86_64), with that many program headers behind it.
inline Elf64_Ehdr elf_core_header(Elf64_Half machine, Elf64_Half program_headers) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_CORE;
  header.e_machine = machine;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof header;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = program_headers;
  return header;
}

}  // namespace vmcore
