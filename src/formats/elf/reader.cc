// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/reader.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "src/base/little_endian.h"
#include "src/formats/elf/dumped_machine.h"
#include "src/formats/elf/memory.h"
#include "src/formats/elf/notes.h"
#include "src/formats/incomplete.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

// ELFCLASS32: its headers are kept in the wide form.
bool is_narrow(const Elf64_Ehdr& header) { return header.e_ident[EI_CLASS] == ELFCLASS32; }

Result<> check_kind(const Elf64_Ehdr& header) {
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return fail(Errc::unsupported, "a big-endian ELF file of machine {}; only x86_64 is supported",
                elf_machine_name(__builtin_bswap16(header.e_machine)));
  }
  const bool narrow = is_narrow(header);
  if (narrow && header.e_machine != EM_386) {
    return fail(Errc::unsupported, "a 32-bit ELF file of machine {}; only x86_64 is supported",
                elf_machine_name(header.e_machine));
  }
  if (header.e_type != ET_CORE) {
    return fail(Errc::unsupported, "an ELF file, but not a core dump (e_type {})", header.e_type);
  }
  const std::size_t size = narrow ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr);
  if (header.e_phentsize != size) {
    return fail(Errc::malformed, "ELF header: program headers of {} bytes instead of {}",
                header.e_phentsize, size);
  }
  return {};
}

Elf64_Ehdr widened(const Elf32_Ehdr& narrow) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, narrow.e_ident, sizeof header.e_ident);
  header.e_type = narrow.e_type;
  header.e_machine = narrow.e_machine;
  header.e_phoff = narrow.e_phoff;
  header.e_shoff = narrow.e_shoff;
  header.e_flags = narrow.e_flags;
  header.e_phentsize = narrow.e_phentsize;
  header.e_phnum = narrow.e_phnum;
  return header;
}

Elf64_Phdr widened(const Elf32_Phdr& narrow) {
  return {.p_type = narrow.p_type,
          .p_flags = narrow.p_flags,
          .p_offset = narrow.p_offset,
          .p_vaddr = narrow.p_vaddr,
          .p_paddr = narrow.p_paddr,
          .p_filesz = narrow.p_filesz,
          .p_memsz = narrow.p_memsz,
          .p_align = narrow.p_align};
}

// e_ehsize is not looked at: QEMU 7.2 and later write sizeof of a pointer there.
Result<Elf64_Ehdr> read_header(const ByteSource& source) {
  std::vector<std::byte> bytes;
  TRY_ASSIGN(bytes, read_block(source, 0, sizeof(Elf32_Ehdr), "ELF header"));
  Elf64_Ehdr header = widened(*load<Elf32_Ehdr>(bytes, 0));
  if (!is_narrow(header)) {
    TRY_ASSIGN(bytes, read_block(source, 0, sizeof(Elf64_Ehdr), "ELF header"));
    header = *load<Elf64_Ehdr>(bytes, 0);
  }
  TRY(check_kind(header));
  return header;
}

// With PN_XNUM or more program headers, their number stands in section header 0.
Result<std::uint64_t> program_header_count(const ByteSource& source, const Elf64_Ehdr& header) {
  if (header.e_phnum != PN_XNUM) {
    return header.e_phnum;
  }
  if (is_narrow(header)) {
    return fail(Errc::unsupported, "a 32-bit ELF file with more than {} program headers", PN_XNUM);
  }
  std::vector<std::byte> bytes;
  TRY_ASSIGN(bytes, read_block(source, header.e_shoff, sizeof(Elf64_Shdr), "ELF section header 0"));
  return load<Elf64_Shdr>(bytes, 0)->sh_info;
}

Result<std::vector<Elf64_Phdr>> read_program_headers(const ByteSource& source,
                                                     const Elf64_Ehdr& header) {
  TRY_ASSIGN(const std::uint64_t count, program_header_count(source, header));
  if (count > kMaxProgramHeaders) {
    return fail(Errc::limit, "ELF header: {} program headers, more than {}", count,
                kMaxProgramHeaders);
  }
  if (header.e_phoff > source.size()) {
    return fail(Errc::malformed, "ELF header: program headers at {:#x}, beyond the file ({} bytes)",
                header.e_phoff, source.size());
  }
  std::vector<std::byte> bytes;
  TRY_ASSIGN(bytes,
             read_block(source, header.e_phoff, count * header.e_phentsize, "ELF program headers"));
  std::vector<Elf64_Phdr> headers(count);
  if (is_narrow(header)) {
    for (std::size_t i = 0; i < count; ++i) {
      headers[i] = widened(*load<Elf32_Phdr>(bytes, i * sizeof(Elf32_Phdr)));
    }
  } else if (count != 0) {
    std::memcpy(headers.data(), bytes.data(), bytes.size());
  }
  return headers;
}

Result<std::vector<Note>> read_notes(const ByteSource& source,
                                     const std::vector<Elf64_Phdr>& headers) {
  std::vector<Note> notes;
  std::uint64_t total = 0;
  for (const Elf64_Phdr& header : headers) {
    if (header.p_type != PT_NOTE) {
      continue;
    }
    if (header.p_filesz > kMaxNotesSize - total) {
      return fail(Errc::limit, "notes at {:#x}: more than {} bytes", header.p_offset,
                  kMaxNotesSize);
    }
    total += header.p_filesz;
    TRY_ASSIGN(const std::vector<std::byte> block,
               read_block(source, header.p_offset, header.p_filesz, "notes"));
    TRY_ASSIGN(std::vector<Note> more, parse_notes(block, header.p_offset));
    if (more.size() > kMaxNotes - notes.size()) {
      return fail(Errc::limit, "notes at {:#x}: more than {} notes", header.p_offset, kMaxNotes);
    }
    std::ranges::move(more, std::back_inserter(notes));
  }
  return notes;
}

Result<> check_segment(const Elf64_Phdr& header, std::size_t number) {
  if (header.p_filesz > header.p_memsz) {
    return fail(Errc::malformed,
                "program header {}: more bytes in the file ({:#x}) than in memory ({:#x})", number,
                header.p_filesz, header.p_memsz);
  }
  if (header.p_paddr > kMaxPhysAddr || header.p_memsz > kMaxPhysAddr - header.p_paddr) {
    return fail(Errc::malformed,
                "program header {}: {:#x} bytes at physical address {:#x}, beyond {:#x}", number,
                header.p_memsz, header.p_paddr, kMaxPhysAddr);
  }
  if (header.p_filesz != 0 && header.p_offset + header.p_filesz < header.p_offset) {
    return fail(Errc::malformed, "program header {}: {:#x} bytes at file offset {:#x} wrap", number,
                header.p_filesz, header.p_offset);
  }
  return {};
}

Result<std::vector<LoadSegment>> load_segments(const std::vector<Elf64_Phdr>& headers) {
  std::vector<LoadSegment> segments;
  bool physical = false;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const Elf64_Phdr& header = headers[i];
    if (header.p_type != PT_LOAD || header.p_memsz == 0) {
      continue;
    }
    TRY(check_segment(header, i));
    physical = physical || header.p_paddr != 0;
    segments.push_back({.physical = {{header.p_paddr}, header.p_memsz},
                        .file_size = header.p_filesz,
                        .file_offset = header.p_offset});
  }
  if (segments.size() > 1 && !physical) {
    return fail(Errc::unsupported,
                "a core dump of a process, not of a machine: no segment has a physical address");
  }
  return segments;
}

void set_facts(MemoryImage& image, const Elf64_Ehdr& header, const ByteSource& source) {
  const bool qemu = image.find_note(kNoteNameQemu, 0) != nullptr;
  image.file.format = fmt::format("ELF{}{}", qemu ? " (QEMU)" : "", source.wrapping());
  tell_incomplete((header.e_flags & kElfIncomplete) != 0, source, image);
}

}  // namespace

bool is_elf(std::span<const std::byte> start) {
  return start.size() >= SELFMAG && std::memcmp(start.data(), ELFMAG, SELFMAG) == 0;
}

Result<MemoryImage> open_elf(std::unique_ptr<ByteSource> source) {
  TRY_ASSIGN(const Elf64_Ehdr header, read_header(*source));
  TRY_ASSIGN(const std::vector<Elf64_Phdr> headers, read_program_headers(*source, header));
  MemoryImage image;
  TRY_ASSIGN(image.notes, read_notes(*source, headers));
  TRY_ASSIGN(const std::vector<LoadSegment> segments, load_segments(headers));
  set_facts(image, header, *source);
  image.cpus = read_cpus(image.notes, image.remarks);
  TRY_ASSIGN(image.machine.arch,
             check_machine(elf_machine_name(header.e_machine), image.notes, image.remarks));
  const std::uint64_t file_size = source->size();
  auto memory = std::make_unique<ElfMemory>(std::move(source), segments);
  if (const std::uint64_t tail = memory->tail_bytes(); tail != 0) {
    image.remarks.push_back(
        {Errc::not_found,
         fmt::format("{} pages have no data in the file and are shown as zeros: they were zero, or "
                     "were left out by the program that wrote the file",
                     tail / kPageSize)});
  }
  if (const std::uint64_t lost = memory->lost_bytes(); lost != 0) {
    image.file.incomplete = true;
    image.remarks.push_back(
        {Errc::truncated,
         fmt::format("the file ends after {} bytes; {} pages of memory behind its end are lost",
                     file_size, lost / kPageSize)});
  }
  image.memory = std::move(memory);
  return image;
}

Result<std::vector<ElfBlock>> read_elf_blocks(const ByteSource& source) {
  TRY_ASSIGN(const Elf64_Ehdr header, read_header(source));
  TRY_ASSIGN(const std::vector<Elf64_Phdr> headers, read_program_headers(source, header));
  TRY_ASSIGN(const std::vector<LoadSegment> segments, load_segments(headers));
  std::vector<ElfBlock> blocks;
  blocks.reserve(segments.size());
  for (const LoadSegment& segment : segments) {
    blocks.push_back({segment.physical, segment.file_offset});
  }
  return blocks;
}

}  // namespace vmcore::formats
