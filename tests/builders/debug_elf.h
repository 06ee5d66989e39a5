// SPDX-License-Identifier: GPL-2.0-or-later
// Files with (or without) debug information of a kernel: what finds them looks at sections, notes
// and one symbol.
#pragma once

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace vmcore::builders {

struct DebugElf {
  std::uint16_t type = ET_EXEC;  // ET_REL for a module
  std::string build_id = {};     // bytes; empty: no note
  std::string banner = {};       // of a vmlinux; empty: no symbol linux_banner
  std::string modinfo = {};      // of a module: "KEY=VALUE\0..."
  bool debug_info = true;
  bool bytes_elsewhere = false;  // a .debug file: what is loaded is SHT_NOBITS
  std::string debug_link = {};
  std::string alternate = {};
  std::string alternate_build_id = {};  // bytes

  std::string build() const;
};

namespace debug_elf {

struct Section {
  std::string name;
  std::uint32_t type = SHT_PROGBITS;
  std::string bytes = {};
  std::uint64_t flags = 0;
  std::uint64_t address = 0;
  std::uint32_t link = 0;
  std::uint64_t entry = 0;
};

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

inline std::string build_id_note(const std::string& id) {
  const Elf64_Nhdr header{4, static_cast<Elf64_Word>(id.size()), NT_GNU_BUILD_ID};
  std::string note = bytes_of(header) + std::string("GNU\0", 4) + id;
  note.resize((note.size() + 3) / 4 * 4);
  return note;
}

inline std::string file_of(std::uint16_t type, std::vector<Section> sections) {
  sections.insert(sections.begin(), Section{.name = "", .type = SHT_NULL});
  sections.push_back({.name = ".shstrtab", .type = SHT_STRTAB});
  std::string names(1, '\0');
  std::vector<Elf64_Shdr> headers;
  for (const Section& section : sections) {
    Elf64_Shdr header{};
    header.sh_name = section.name.empty() ? 0 : static_cast<Elf64_Word>(names.size());
    names += section.name.empty() ? "" : section.name + '\0';
    headers.push_back(header);
  }
  sections.back().bytes = names;
  std::string content;
  Elf64_Ehdr header{};
  for (std::size_t i = 0; i < sections.size(); ++i) {
    const Section& section = sections[i];
    content.resize((content.size() + 7) / 8 * 8);
    headers[i].sh_type = section.type;
    headers[i].sh_flags = section.flags;
    headers[i].sh_addr = section.address;
    headers[i].sh_offset = sizeof header + content.size();
    headers[i].sh_size = section.bytes.size();
    headers[i].sh_link = section.link;
    headers[i].sh_addralign = 1;
    headers[i].sh_entsize = section.entry;
    content += section.type == SHT_NOBITS ? "" : section.bytes;
  }
  content.resize((content.size() + 7) / 8 * 8);
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = type;
  header.e_machine = EM_X86_64;
  header.e_version = EV_CURRENT;
  header.e_ehsize = sizeof header;
  header.e_shentsize = sizeof(Elf64_Shdr);
  header.e_shnum = static_cast<Elf64_Half>(sections.size());
  header.e_shstrndx = static_cast<Elf64_Half>(sections.size() - 1);
  header.e_shoff = sizeof header + content.size();
  std::string table;
  for (const Elf64_Shdr& each : headers) {
    table += bytes_of(each);
  }
  return bytes_of(header) + content + table;
}

}  // namespace debug_elf

inline std::string DebugElf::build() const {
  using debug_elf::Section;
  constexpr std::uint64_t kRodata = 0xffffffff82000000;
  const std::uint32_t loaded = bytes_elsewhere ? SHT_NOBITS : SHT_PROGBITS;
  std::vector<Section> sections;
  if (!build_id.empty()) {
    sections.push_back({".note.gnu.build-id", SHT_NOTE, debug_elf::build_id_note(build_id),
                        SHF_ALLOC, 0xffffffff83000000});
  }
  if (!modinfo.empty()) {
    sections.push_back({".modinfo", loaded, modinfo, SHF_ALLOC});
  }
  if (!banner.empty()) {
    Elf64_Sym symbol{};
    symbol.st_name = 1;
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
    symbol.st_value = kRodata + 16;
    symbol.st_shndx = static_cast<Elf64_Half>(sections.size() + 1);
    sections.push_back(
        {".rodata", loaded, std::string(16, 'x') + banner + "\n" + '\0', SHF_ALLOC, kRodata});
    const auto strings = static_cast<std::uint32_t>(sections.size() + 2);
    sections.push_back({".symtab", SHT_SYMTAB,
                        std::string(sizeof symbol, '\0') + debug_elf::bytes_of(symbol), 0, 0,
                        strings, sizeof symbol});
    sections.push_back({".strtab", SHT_STRTAB, std::string("\0linux_banner\0", 14)});
  }
  if (debug_info) {
    sections.push_back({".debug_info", SHT_PROGBITS, "DWARF"});
  }
  if (!debug_link.empty()) {
    std::string link = debug_link + '\0';
    link.resize((link.size() + 3) / 4 * 4);
    sections.push_back({".gnu_debuglink", SHT_PROGBITS, link + "crc!"});
  }
  if (!alternate.empty()) {
    sections.push_back({".gnu_debugaltlink", SHT_PROGBITS, alternate + '\0' + alternate_build_id});
  }
  return debug_elf::file_of(type, std::move(sections));
}

// The header of a bzImage (Documentation/arch/x86/boot.rst).
inline std::string boot_image(const std::string& version) {
  std::string image(0x4000, '\0');
  image.replace(0x202, 4, "HdrS");
  image[0x20e] = '\x00';
  image[0x20f] = '\x30';  // 0x3000, counted from 0x200
  image.replace(0x3200, version.size(), version);
  return image;
}

}  // namespace vmcore::builders
