// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/two_kernels.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "src/base/all_zero.h"
#include "src/image/page.h"

namespace vmcore::testing {
namespace {

// The capture kernel: 32 MiB higher in virtual memory, and at the beginning of kCrashRegion.
constexpr std::uint64_t kCaptureOffset = 32ULL << 20;
constexpr std::int64_t kCapturePhysBase = -(16LL << 20);
constexpr std::uint64_t kCaptureSize = 16ULL << 20;

std::vector<std::byte> note_block(std::string_view name, std::uint32_t type,
                                  std::span<const std::byte> desc) {
  const std::size_t name_room = (name.size() + 1 + 3) / 4 * 4;
  const Elf64_Nhdr header{static_cast<Elf64_Word>(name.size() + 1),
                          static_cast<Elf64_Word>(desc.size()), type};
  std::vector<std::byte> block(sizeof(header) + name_room + desc.size());
  std::memcpy(block.data(), &header, sizeof(header));
  std::memcpy(block.data() + sizeof(header), name.data(), name.size());
  std::memcpy(block.data() + sizeof(header) + name_room, desc.data(), desc.size());
  return block;
}

// struct elf_prstatus of x86-64, of which only rip is set.
std::vector<std::byte> registers(std::uint64_t rip) {
  std::vector<std::byte> status(336);
  std::memcpy(status.data() + 112 + 16 * 8, &rip, sizeof(rip));
  return status;
}

CpuState cpu_in(PhysAddr root, unsigned index) {
  CpuState cpu;
  cpu.index = index;
  cpu.cs.selector = 0x10;
  cpu.cr0 = 0x8005'0033;
  cpu.cr3 = root.value;
  cpu.cr4 = 0x20;
  return cpu;
}

void write_crash_notes(SparseMemory& memory, std::string_view vmcoreinfo) {
  for (unsigned cpu = 0; cpu < 2; ++cpu) {
    memory.write(kCrashNotes + cpu * kPageSize,
                 note_block("CORE", kNoteTypePrstatus, registers(kCrashRip + cpu * 0x10)));
  }
  const std::string text = std::string(vmcoreinfo) + fmt::format("CRASHTIME={}\n", kCrashTime);
  memory.write(kCrashNotes + 2 * kPageSize,
               note_block(kNoteNameVmcoreinfo, 0, std::as_bytes(std::span(text))));
}

}  // namespace

void copy_memory(const PhysicalMemory& from, PhysRange range, SparseMemory& to) {
  std::vector<std::byte> page(kPageSize);
  for (PhysAddr at = range.begin; at < range.end(); at = at + kPageSize) {
    if (from.read(at, page) && !all_zero(page)) {
      to.write(at, page);
    }
  }
}

std::vector<std::byte> core_header(const std::vector<Elf64_Phdr>& headers) {
  Elf64_Ehdr elf{};
  std::memcpy(elf.e_ident,
              "\x7f"
              "ELF\2\1\1",
              7);
  elf.e_type = ET_CORE;
  elf.e_machine = EM_X86_64;
  elf.e_version = EV_CURRENT;
  elf.e_phoff = sizeof(elf);
  elf.e_ehsize = sizeof(elf);
  elf.e_phentsize = sizeof(Elf64_Phdr);
  elf.e_phnum = static_cast<Elf64_Half>(headers.size());
  std::vector<std::byte> bytes(sizeof(elf) + headers.size() * sizeof(Elf64_Phdr));
  std::memcpy(bytes.data(), &elf, sizeof(elf));
  if (!headers.empty()) {
    std::memcpy(bytes.data() + sizeof(elf), headers.data(), headers.size() * sizeof(Elf64_Phdr));
  }
  return bytes;
}

Elf64_Phdr core_note(PhysAddr place, std::uint64_t size) {
  return {PT_NOTE, 0, place.value, 0, place.value, size, size, 0};
}

Elf64_Phdr core_load(PhysRange range, std::optional<PhysAddr> from) {
  return {PT_LOAD,
          PF_R | PF_W | PF_X,
          from.value_or(range.begin).value,
          0,
          range.begin.value,
          range.size,
          range.size,
          0};
}

MemoryImage TwoKernels::build() const {
  GuestBuilder first(layout);
  first.crash_region(kCrashRegion).log(1'500'000'000, "the first one's panic");
  if (!note) {
    first.without_note();
  }
  MemoryImage image = first.build();
  auto& memory = static_cast<SparseMemory&>(*image.memory);
  memory.write(kCoreHeaderPlace, core_header(headers));
  image.cpus = {cpu_in(first.root(), 0), cpu_in(first.root(), 1)};
  if (!crashed) {
    return image;
  }
  write_crash_notes(memory, first.vmcoreinfo_text());
  image.cpus[0].cr3 = kCrashRegion.begin.value + (24ULL << 20);  // tables that map no kernel
  if (capture_begun) {
    GuestBuilder second(layout);
    second.kaslr(kCaptureOffset, kCapturePhysBase, {0xffff'9999'4000'0000});
    second.command_line("elfcorehdr=" + told + " nr_cpus=1").log(1, "the second one");
    const MemoryImage capture = second.build();
    copy_memory(*capture.memory, {kCrashRegion.begin, kCaptureSize}, memory);
    image.cpus[0].cr3 = second.root().value;
  }
  return image;
}

}  // namespace vmcore::testing
