// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest/image/elf_file.h"

#include <gelf.h>
#include <libelf.h>

#include <optional>

namespace vmcore::guest::image {
namespace {

std::string text_at(std::string_view bytes, std::uint64_t at) {
  const std::size_t end = bytes.find('\0', at);
  return end == std::string_view::npos ? "" : std::string(bytes.substr(at, end - at));
}

tl::unexpected<Error> damaged(std::string_view what) {
  return fail(Errc::malformed, "damaged ELF file: no {}", what);
}

std::vector<GElf_Phdr> segments_of(Elf* elf) {
  std::vector<GElf_Phdr> segments;
  std::size_t count = 0;
  ::elf_getphdrnum(elf, &count);
  for (std::size_t i = 0; i < count; ++i) {
    GElf_Phdr segment;
    if (::gelf_getphdr(elf, static_cast<int>(i), &segment) != nullptr) {
      segments.push_back(segment);
    }
  }
  return segments;
}

// The offset in the file of an address of the loaded program.
std::optional<std::uint64_t> offset_of(const std::vector<GElf_Phdr>& segments,
                                       std::uint64_t address) {
  for (const GElf_Phdr& segment : segments) {
    if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
        address - segment.p_vaddr < segment.p_filesz) {
      return segment.p_offset + (address - segment.p_vaddr);
    }
  }
  return std::nullopt;
}

std::string_view section(Elf* elf, std::string_view name) {
  std::size_t names = 0;
  if (::elf_getshdrstrndx(elf, &names) != 0) {
    return "";
  }
  for (Elf_Scn* scn = nullptr; (scn = ::elf_nextscn(elf, scn)) != nullptr;) {
    GElf_Shdr header;
    const char* const found = ::gelf_getshdr(scn, &header) == nullptr
                                  ? nullptr
                                  : ::elf_strptr(elf, names, header.sh_name);
    if (found != nullptr && found == name) {
      const Elf_Data* const data = ::elf_rawdata(scn, nullptr);
      return data == nullptr || data->d_buf == nullptr
                 ? std::string_view()
                 : std::string_view(static_cast<const char*>(data->d_buf), data->d_size);
    }
  }
  return "";
}

}  // namespace

Result<ElfFile> ElfFile::parse(std::string_view bytes) {
  ::elf_version(EV_CURRENT);
  // elf_memory() only reads.
  Handle elf(::elf_memory(const_cast<char*>(bytes.data()), bytes.size()), ::elf_end);
  GElf_Ehdr header;
  if (!elf || ::elf_kind(elf.get()) != ELF_K_ELF) {
    return fail(Errc::not_recognised, "not an ELF file");
  }
  if (::gelf_getehdr(elf.get(), &header) == nullptr) {
    return damaged("header");
  }
  if (::gelf_getclass(elf.get()) != ELFCLASS64 || header.e_machine != EM_X86_64) {
    return fail(Errc::unsupported, "not for 64-bit x86 (ELF class {}, machine {})",
                ::gelf_getclass(elf.get()), header.e_machine);
  }
  if (segments_of(elf.get()).size() != header.e_phnum) {
    return damaged("program headers");
  }
  return ElfFile(bytes, std::move(elf));
}

std::string ElfFile::interpreter() const {
  for (const GElf_Phdr& segment : segments_of(elf_.get())) {
    if (segment.p_type == PT_INTERP) {
      return text_at(bytes_, segment.p_offset);
    }
  }
  return "";
}

Result<std::vector<std::string>> ElfFile::libraries() const {
  const std::vector<GElf_Phdr> segments = segments_of(elf_.get());
  std::vector<std::uint64_t> names;
  std::optional<std::uint64_t> strings;
  for (const GElf_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC) {
      continue;
    }
    Elf_Data* const dynamic = ::elf_getdata_rawchunk(
        elf_.get(), static_cast<std::int64_t>(segment.p_offset), segment.p_filesz, ELF_T_DYN);
    if (dynamic == nullptr) {
      return damaged("dynamic section");
    }
    GElf_Dyn entry;
    for (int i = 0; ::gelf_getdyn(dynamic, i, &entry) != nullptr && entry.d_tag != DT_NULL; ++i) {
      if (entry.d_tag == DT_NEEDED) {
        names.push_back(entry.d_un.d_val);
      } else if (entry.d_tag == DT_STRTAB) {
        strings = offset_of(segments, entry.d_un.d_ptr);
      }
    }
  }
  std::vector<std::string> libraries;
  for (const std::uint64_t name : names) {
    libraries.push_back(strings ? text_at(bytes_, *strings + name) : "");
    if (libraries.back().empty()) {
      return damaged("name of a library");
    }
  }
  return libraries;
}

std::string ElfFile::module_info(std::string_view key) const {
  for (std::string_view rest = section(elf_.get(), ".modinfo"); !rest.empty();) {
    const std::string_view entry = rest.substr(0, rest.find('\0'));
    rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
    if (entry.size() > key.size() && entry.starts_with(key) && entry[key.size()] == '=') {
      return std::string(entry.substr(key.size() + 1));
    }
  }
  return "";
}

}  // namespace vmcore::guest::image
