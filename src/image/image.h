// SPDX-License-Identifier: GPL-2.0-or-later
// MemoryImage: everything a dump or a stopped guest tells: machine, CPUs, notes, memory. Plain
// data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/result.h"
#include "src/image/arch.h"
#include "src/image/memory.h"
#include "src/image/page.h"
#include "src/image/registers.h"

namespace vmcore {

struct Machine {
  Arch arch = Arch::unknown;
  std::uint32_t page_size = kPageSize;  // bytes
};

// One ELF note, verbatim.
struct Note {
  std::string name;  // without the terminating NUL
  std::uint32_t type = 0;
  std::vector<std::byte> desc;
};

// Note types and names of the notes that are understood.
inline constexpr std::uint32_t kNoteTypePrstatus = 1;                  // name "CORE"
inline constexpr std::string_view kNoteNameVmcoreinfo = "VMCOREINFO";  // type 0
inline constexpr std::string_view kNoteNameQemu = "QEMU";              // type 0, one per vCPU

// What the header of a dump file says of the file itself.
struct FileFacts {
  std::string format;       // "ELF", "ELF (QEMU)", "kdump-compressed v6 (zstd)", "... flattened"
  unsigned dump_level = 0;  // makedumpfile's level that was applied already; 0 where not known
  std::optional<std::uint64_t> crash_time;  // seconds since the epoch, where the header has one
  bool incomplete = false;  // the file says of itself, or proves, that pages are missing
  bool doubted = false;     // pages may have the contents of others: nothing is left out by them
};

struct MemoryImage {
  Machine machine;
  FileFacts file;
  std::vector<CpuState> cpus;  // in the order of the notes
  std::vector<Note> notes;     // all, verbatim and in order
  std::unique_ptr<PhysicalMemory> memory;
  std::vector<Remark> remarks;

  // The first note of that name and type, or null. Borrowed from `notes`.
  const Note* find_note(std::string_view name, std::uint32_t type) const {
    for (const Note& note : notes) {
      if (note.name == name && note.type == type) {
        return &note;
      }
    }
    return nullptr;
  }
};

}  // namespace vmcore
