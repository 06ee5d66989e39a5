// SPDX-License-Identifier: GPL-2.0-or-later
// A kernel module of one section, .modinfo.
#pragma once

#include <elf.h>

#include <array>
#include <cstring>
#include <string>

namespace vmcore::guest {

// `modinfo` is the content of the section, "KEY=VALUE\0...".
inline std::string elf_module(const std::string& modinfo, std::uint16_t machine = EM_X86_64) {
  const std::string names("\0.modinfo\0.shstrtab\0", 20);
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_REL;
  header.e_machine = machine;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = 3;
  header.e_shstrndx = 2;
  header.e_shoff = sizeof header;
  std::array<Elf64_Shdr, 3> sections{};
  sections[1] = {.sh_name = 1,
                 .sh_type = SHT_PROGBITS,
                 .sh_flags = 0,
                 .sh_addr = 0,
                 .sh_offset = sizeof header + sizeof sections,
                 .sh_size = modinfo.size(),
                 .sh_link = 0,
                 .sh_info = 0,
                 .sh_addralign = 1,
                 .sh_entsize = 0};
  sections[2] = sections[1];
  sections[2].sh_name = 10;
  sections[2].sh_type = SHT_STRTAB;
  sections[2].sh_offset += modinfo.size();
  sections[2].sh_size = names.size();
  std::string bytes(sizeof header + sizeof sections, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, sections.data(), sizeof sections);
  return bytes + modinfo + names;
}

}  // namespace vmcore::guest
