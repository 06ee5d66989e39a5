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

// The registers of a vCPU as QEMU's own dump tells them.
struct QemuRegisters {
  struct Segment {
    std::uint32_t selector = 0, limit = 0, flags = 0;
    std::uint64_t base = 0;
  };
  unsigned index = 0;  // QEMU's number of the vCPU
  std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rsp = 0, rbp = 0;
  std::uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
  std::uint64_t rip = 0, rflags = 0;
  Segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
  std::uint64_t cr[5] = {};
  std::uint64_t kernel_gs_base = 0;
};

// The notes that QEMU's dump writes of these vCPUs: NT_PRSTATUS of each, then QEMU's of each (QEMU
// target/i386/arch_dump.c, x86_64_write_elf64_note and qemu_get_cpustate).
std::vector<Note> make_cpu_notes(std::span<const QemuRegisters> cpus);

}  // namespace vmcore::formats
