// SPDX-License-Identifier: GPL-2.0-or-later
// A program, or a library, of ELF headers alone: what tells its interpreter and its libraries.
#pragma once

#include <elf.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

namespace vmcore::guest {

inline std::string elf_program(const std::string& interpreter,
                               const std::vector<std::string>& libraries) {
  std::string strings = interpreter + '\0';
  std::vector<Elf64_Dyn> dynamic;
  for (const std::string& library : libraries) {
    dynamic.push_back({.d_tag = DT_NEEDED, .d_un = {.d_val = strings.size()}});
    strings += library + '\0';
  }
  dynamic.push_back({.d_tag = DT_STRTAB, .d_un = {}});
  dynamic.push_back({.d_tag = DT_NULL, .d_un = {}});

  std::array<Elf64_Phdr, 3> segments{};
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_DYN;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phoff = sizeof header;
  header.e_phnum = interpreter.empty() ? 2 : 3;  // a library has none
  const std::size_t at_dynamic = sizeof header + sizeof segments;
  const std::size_t dynamic_size = dynamic.size() * sizeof(Elf64_Dyn);
  const std::size_t at_strings = at_dynamic + dynamic_size;
  dynamic[dynamic.size() - 2].d_un.d_ptr = at_strings;
  segments[0].p_type = PT_LOAD;
  segments[0].p_filesz = at_strings + strings.size();
  segments[1].p_type = PT_DYNAMIC;
  segments[1].p_offset = at_dynamic;
  segments[1].p_filesz = dynamic_size;
  segments[2].p_type = PT_INTERP;
  segments[2].p_offset = at_strings;

  std::string bytes(at_strings, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, segments.data(), sizeof segments);
  std::memcpy(bytes.data() + at_dynamic, dynamic.data(), dynamic_size);
  return bytes + strings;
}

}  // namespace vmcore::guest
