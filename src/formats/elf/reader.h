// SPDX-License-Identifier: GPL-2.0-or-later
// ELF dumps: /proc/vmcore, QEMU's dump-guest-memory, makedumpfile -E, our own.
// docs/formats/elf.md has the layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "src/base/result.h"
#include "src/formats/byte_source.h"
#include "src/image/image.h"

namespace vmcore::formats {

// More program headers than this are refused when reading and writing: four million take 224 MiB
// and minutes in any reader.
inline constexpr std::uint64_t kMaxProgramHeaders = 1ULL << 22;

// e_flags bit of makedumpfile (DUMP_ELF_INCOMPLETE): the file lacks pages.
inline constexpr std::uint32_t kElfIncomplete = 1;

bool is_elf(std::span<const std::byte> start);

// An x86-64 ELF64 dump, or one that QEMU made of a PC none of whose CPUs pages yet (machine i386,
// class 32 or 64); other classes and machines are Errc::unsupported.
//
// Pages are whole: where PT_LOADs cover parts of a page, the rest of it reads as zeros. Where
// PT_LOADs overlap, the first one wins, but data beats a tail that has none (p_memsz > p_filesz).
// Such a tail is `zero`, as for every reader of ELF: makedumpfile leaves zero pages out in that
// way, and others. Holes of the file are `zero`. A page of which a part is lost is lost.
Result<MemoryImage> open_elf(std::unique_ptr<ByteSource> source);

struct ElfBlock {
  PhysRange memory;
  std::uint64_t offset = 0;  // of its first byte in the file
};

// Each PT_LOAD in the order of the file, neighbours not joined: QEMU makes one of each block that
// lies in one piece in its own memory (QEMU softmmu/memory_mapping.c, guest_phys_blocks_region_add,
// v1.6 and later).
Result<std::vector<ElfBlock>> read_elf_blocks(const ByteSource& source);

}  // namespace vmcore::formats
