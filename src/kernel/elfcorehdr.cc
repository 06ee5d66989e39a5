// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/elfcorehdr.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <string_view>

#include "src/base/little_endian.h"
#include "src/base/number.h"
#include "src/image/arch.h"
#include "src/image/page.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/memory_chunks.h"

namespace vmcore::kernel {
namespace {

constexpr std::size_t kMaxCommandLine = 4096;  // COMMAND_LINE_SIZE is 2048
// A note block is some 360 bytes, VMCOREINFO's a page and a little; QEMU accepts 1 MiB of it.
constexpr std::uint64_t kMaxNoteBlock = (1ULL << 20) + kPageSize;
// Only the first 640 KiB are ever saved.
constexpr std::uint64_t kMaxSaved = 1ULL << 20;

bool begins_header(std::span<const std::byte> bytes) {
  constexpr std::array<unsigned char, EI_OSABI> kIdent{0x7f,       'E',         'L',       'F',
                                                       ELFCLASS64, ELFDATA2LSB, EV_CURRENT};
  const auto header = load<Elf64_Ehdr>(bytes, 0);
  return header && std::memcmp(header->e_ident, kIdent.data(), kIdent.size()) == 0 &&
         header->e_type == ET_CORE && arch_from_elf(header->e_machine) != Arch::unknown &&
         header->e_phoff == sizeof(Elf64_Ehdr) && header->e_phentsize == sizeof(Elf64_Phdr);
}

bool is_memory(std::uint64_t begin, std::uint64_t size) {
  return size != 0 && size <= kMaxPhysAddr && begin <= kMaxPhysAddr - size;
}

Result<PhysRange> note_block(const Elf64_Phdr& header) {
  if (header.p_offset != header.p_paddr || header.p_filesz != header.p_memsz ||
      header.p_filesz > kMaxNoteBlock || !is_memory(header.p_paddr, header.p_filesz)) {
    return fail(Errc::malformed, "elfcorehdr: a block of notes at {:#x} is not plausible",
                header.p_paddr);
  }
  return PhysRange{{header.p_paddr}, header.p_filesz};
}

// In whole pages, as fs/proc/vmcore.c rounds them.
Result<CoreLoad> load_of(const Elf64_Phdr& header) {
  const bool saved = header.p_offset != header.p_paddr;
  if (header.p_filesz != header.p_memsz || !is_memory(header.p_paddr, header.p_memsz) ||
      !is_memory(header.p_offset, header.p_memsz) || (saved && header.p_memsz > kMaxSaved)) {
    return fail(Errc::malformed, "elfcorehdr: a range of memory at {:#x} is not plausible",
                header.p_paddr);
  }
  const std::uint64_t begin = page_floor(header.p_paddr);
  const std::uint64_t end = page_ceil(header.p_paddr + header.p_memsz);
  const std::uint64_t before = header.p_paddr - begin;
  if (header.p_offset < before || (header.p_offset - before) % kPageSize != 0) {
    return fail(Errc::malformed,
                "elfcorehdr: memory at {:#x} is saved at the implausible address {:#x}",
                header.p_paddr, header.p_offset);
  }
  return CoreLoad{{{begin}, end - begin}, {header.p_offset - before}};
}

// Sorted, disjoint, those joined that go on: the kernel image is a part of its RAM.
std::vector<CoreLoad> in_order(std::vector<CoreLoad> loads) {
  std::ranges::sort(loads, {}, [](const CoreLoad& load) { return load.range.begin; });
  std::vector<CoreLoad> ordered;
  for (CoreLoad load : loads) {
    const PhysAddr done = ordered.empty() ? PhysAddr{} : ordered.back().range.end();
    if (load.range.end() <= done) {
      continue;
    }
    const std::uint64_t known = load.range.begin < done ? done - load.range.begin : 0;
    load = {{load.range.begin + known, load.range.size - known}, load.from + known};
    if (!ordered.empty() && load.range.begin == done &&
        load.from == ordered.back().from + ordered.back().range.size) {
      ordered.back().range.size += load.range.size;
    } else {
      ordered.push_back(load);
    }
  }
  return ordered;
}

}  // namespace

Result<CoreHeader> read_elfcorehdr(const PhysicalMemory& memory, PhysAddr place) {
  Elf64_Ehdr elf{};
  if (place.value >= kMaxPhysAddr ||
      !read_exactly(memory, place, std::as_writable_bytes(std::span(&elf, 1))) ||
      !begins_header(as_bytes(elf))) {
    return fail(Errc::not_recognised, "no ELF core header at {:#x}", place.value);
  }
  std::vector<Elf64_Phdr> headers(elf.e_phnum);
  TRY(read_exactly(memory, place + sizeof(elf), std::as_writable_bytes(std::span(headers))));
  CoreHeader header{place, {}, {}};
  for (const Elf64_Phdr& each : headers) {
    if (each.p_type == PT_NOTE) {
      TRY_ASSIGN(const PhysRange block, note_block(each));
      header.notes.push_back(block);
    } else if (each.p_type == PT_LOAD) {
      TRY_ASSIGN(const CoreLoad load, load_of(each));
      header.loads.push_back(load);
    } else {
      return fail(Errc::malformed, "elfcorehdr: a segment has the unexpected type {}", each.p_type);
    }
  }
  header.loads = in_order(std::move(header.loads));
  const bool in_itself = std::ranges::any_of(
      header.loads, [&](const CoreLoad& load) { return load.range.contains(place); });
  if (header.notes.empty() || header.loads.empty() || in_itself) {
    return fail(Errc::malformed, "the ELF core header at {:#x} does not describe a crashed kernel",
                place.value);
  }
  return header;
}

Result<std::vector<CoreHeader>> search_elfcorehdr(const PhysicalMemory& memory, PhysRange range) {
  constexpr unsigned kMaxCandidates = 1024;  // guests may fill their memory with such pages
  std::vector<CoreHeader> found;
  unsigned candidates = 0;
  const auto look_at = [&](PhysAddr at, std::span<const std::byte> bytes) -> Result<bool> {
    for (std::size_t page = 0; page < bytes.size(); page += kPageSize) {
      if (!begins_header(bytes.subspan(page)) || ++candidates > kMaxCandidates) {
        continue;
      }
      if (auto header = read_elfcorehdr(memory, at + page)) {
        found.push_back(*std::move(header));
      }
    }
    return found.size() >= kMaxCoreHeaders || candidates >= kMaxCandidates;
  };
  TRY(for_each_data_chunk(memory, range, look_at));
  found.resize(std::min(found.size(), kMaxCoreHeaders));
  return found;
}

std::optional<PhysAddr> elfcorehdr_from_cmdline(const GuestKernel& kernel) {
  const auto pointer =
      kernel.kallsyms() != nullptr ? kernel.kallsyms()->find("saved_command_line") : std::nullopt;
  const auto address = pointer ? kernel.read_value<std::uint64_t>(*pointer) : Result<uint64_t>(0);
  std::array<char, kMaxCommandLine> text{};
  if (!pointer || !address || !kernel.read({*address}, std::as_writable_bytes(std::span(text)))) {
    return std::nullopt;
  }
  const std::string_view line{text.data(), ::strnlen(text.data(), text.size())};
  // memparse(): a number, its size before an '@', units; setup_elfcorehdr() in
  // kernel/crash_dump.c. Linux writes 0x..., kexec-tools ...K.
  constexpr std::string_view kKey = "elfcorehdr=";
  const std::size_t at = line.find(kKey);
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view word = line.substr(at + kKey.size());
  word = word.substr(0, word.find(' '));
  word = word.substr(word.find('@') + 1);
  const bool hex = word.starts_with("0x") || word.starts_with("0X");
  word.remove_prefix(hex ? 2 : 0);
  const std::uint64_t value = take_number<std::uint64_t>(word, hex ? 16 : 10).value_or(0);
  constexpr std::string_view kUnits = "KMG";
  const std::size_t unit = word.empty() ? kUnits.npos : kUnits.find(word.front());
  const unsigned shift = unit == kUnits.npos ? 0 : 10 * (static_cast<unsigned>(unit) + 1);
  // A value that makes no sense still tells a capture kernel: read_elfcorehdr() refuses it.
  return PhysAddr{value <= (kMaxPhysAddr >> shift) ? value << shift : kMaxPhysAddr};
}

}  // namespace vmcore::kernel
