// SPDX-License-Identifier: GPL-2.0-or-later
// A guest that crashed into a capture kernel: the memory of two kernels, and between them the ELF
// core header by which the first hands over to the second.
#pragma once

#include <elf.h>

#include <cstdint>
#include <vector>

#include "src/image/image.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::testing {

// Copies the pages that are not zero.
void copy_memory(const PhysicalMemory& from, PhysRange range, SparseMemory& to);

// An ELF core header with these program headers, as Linux lays it out.
std::vector<std::byte> core_header(const std::vector<Elf64_Phdr>& headers);
Elf64_Phdr core_note(PhysAddr place, std::uint64_t size);
// `from`: where the bytes lie, if not there.
Elf64_Phdr core_load(PhysRange range, std::optional<PhysAddr> from = {});

// RAM is [0, 64 MiB). The first kernel (GuestBuilder's, at 16 MiB) keeps kCrashRegion free for the
// second, which lies at its beginning.
inline constexpr PhysRange kCrashRegion{{32ULL << 20}, 32ULL << 20};
inline constexpr PhysAddr kCoreHeaderPlace{52ULL << 20};
inline constexpr PhysAddr kCrashNotes{8ULL << 20};  // a page for each of two CPUs, then VMCOREINFO
inline constexpr std::uint64_t kCrashRip = 0xffff'ffff'8100'0100;  // and 0x10 more for CPU 1
inline constexpr std::uint64_t kCrashTime = 1'700'000'000;

struct TwoKernels {
  const char* layout = "6.12";
  bool crashed = true;  // else the capture kernel is merely loaded: no notes, CPUs in the first
  bool capture_begun = true;  // else CPU 0 is in the code before it, and its memory is empty
  bool note = true;  // the image has the first kernel's VMCOREINFO (QEMU's vmcoreinfo device)
  std::string told = "0x3400000";  // elfcorehdr= of the capture kernel
  std::vector<Elf64_Phdr> headers = {
      core_note(kCrashNotes, 368), core_note(kCrashNotes + 4096, 368),
      core_note(kCrashNotes + 8192, 8192), core_load({{16ULL << 20}, 16ULL << 20}),
      core_load({{1ULL << 20}, 31ULL << 20})};
  // Of two CPUs: 0 went on into the capture kernel, 1 was stopped in the first one.
  MemoryImage build() const;
};

}  // namespace vmcore::testing
