// SPDX-License-Identifier: GPL-2.0-or-later
// ELF notes, as they stand in the PT_NOTE segments of ELF dumps and in the note block of kdump
// files, and the CPU states that they hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/image/image.h"

namespace vmcore::formats {

// All notes of a dump together: a guest with 4096 CPUs has 3.5 MiB of them, and VMCOREINFO.
inline constexpr std::uint64_t kMaxNotesSize = 64ULL << 20;
inline constexpr std::size_t kMaxNotes = 1U << 16;
// QEMU accepts no larger one from a guest.
inline constexpr std::uint64_t kMaxVmcoreinfoSize = 1ULL << 20;

// The notes in `block`, which lies at `offset` of the dump (for messages). A note without a name,
// a type and contents ends them, as in the per-CPU notes of Linux.
Result<std::vector<Note>> parse_notes(std::span<const std::byte> block, std::uint64_t offset);

struct NotesBlock {
  std::vector<std::byte> bytes;
  // Where in `bytes` the contents of the VMCOREINFO note lie; size 0 where there is none.
  std::uint64_t vmcoreinfo_offset = 0;
  std::uint64_t vmcoreinfo_size = 0;
};
NotesBlock serialise_notes(const std::vector<Note>& notes);

// Puts the note in the place of the one of its name and type, whose contents must be as long.
Result<> replace_note(std::vector<Note>& notes, const Note& note);

// The CPUs of the notes: of the QEMU notes where there are any that can be read, else of
// NT_PRSTATUS. Notes that cannot be read are left out with a Remark.
std::vector<CpuState> read_cpus(const std::vector<Note>& notes, std::vector<Remark>& remarks);

// The notes that QEMU's dump writes of these vCPUs: NT_PRSTATUS of each, then QEMU's of each (QEMU
// target/i386/arch_dump.c, x86_64_write_elf64_note and qemu_get_cpustate). Unknown
// registers are 0.
std::vector<Note> make_cpu_notes(std::span<const CpuState> cpus);

// Makes `pid` the process of an NT_PRSTATUS; nothing happens to a note of another size.
void set_pid(Note& prstatus, std::int32_t pid);

}  // namespace vmcore::formats
