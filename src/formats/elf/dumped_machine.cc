// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/dumped_machine.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <utility>

#include "src/formats/elf/notes.h"

namespace vmcore::formats {
namespace {

// Beginnings of what uname(2) says, whether such a machine is read or not.
constexpr std::array<std::string_view, 21> kForeign{
    "aarch64", "alpha",    "arc",    "arm",  "csky",      "hexagon", "i386",
    "i486",    "i586",     "i686",   "ia64", "loongarch", "m68k",    "microblaze",
    "mips",    "openrisc", "parisc", "ppc",  "riscv",     "s390",    "sparc"};

struct NamedSize {
  std::size_t size;
  std::string_view machine;
};

// Sizes of struct elf_prstatus (include/linux/elfcore.h): 112 bytes, 72 of a 32-bit machine, the
// registers (ELF_NGREG of arch/*/include/asm/elf.h), 4, padding.
constexpr NamedSize kPrstatusSizes[]{
    {336, "x86_64"},  {144, "i386"},    {148, "arm"},         {392, "aarch64"},
    {504, "ppc64le"}, {376, "riscv64"}, {480, "loongarch64"},
};

struct NamedLine {
  std::string_view line;
  std::string_view machine;
};

// Lines that one architecture alone adds to VMCOREINFO (arch_crash_save_vmcoreinfo).
constexpr NamedLine kLines[]{
    {"\nNUMBER(phys_base)=", "x86_64"},
    {"\nSYMBOL(init_top_pgt)=", "x86_64"},
    {"\nSYMBOL(init_level4_pgt)=", "x86_64"},
    {"\nNUMBER(kimage_voffset)=", "aarch64"},
    {"\nNUMBER(va_kernel_pa_offset)=", "riscv64"},
    {"\nCONFIG_ARM_LPAE=", "arm"},
    {"\nCONFIG_X86_PAE=", "i386"},
};

bool is_xen(const Note& note) {
  // Types of include/xen/interface/elfnote.h and xen's elfnote.h: XEN_ELFNOTE_CRASH_INFO and
  // XEN_ELFNOTE_CRASH_REGS (kexec of a host with Xen), XEN_ELFNOTE_DUMPCORE_* (xl dump-core).
  return note.name == "VMCOREINFO_XEN" ||
         (note.name == "Xen" && (note.type >> 24 == 1 || note.type >> 24 == 2));
}

void gather(const Note& note, std::vector<std::string_view>& machines) {
  if (note.name == "CORE" && note.type == kNoteTypePrstatus) {
    for (const NamedSize& entry : kPrstatusSizes) {
      if (note.desc.size() == entry.size) {
        machines.push_back(entry.machine);
      }
    }
  }
  if (note.name == kNoteNameVmcoreinfo && note.type == 0) {
    const std::string_view text(reinterpret_cast<const char*>(note.desc.data()), note.desc.size());
    for (const NamedLine& entry : kLines) {
      if (text.find(entry.line) != std::string_view::npos) {
        machines.push_back(entry.machine);
      }
    }
  }
}

// Whether the notes tell of CPUs, none of which pages yet.
bool run_no_kernel(const std::vector<Note>& notes) {
  std::vector<Remark> ignored;
  const std::vector<CpuState> cpus = read_cpus(notes, ignored);
  return !cpus.empty() && std::ranges::all_of(cpus, [](const CpuState& cpu) {
    return !cpu.paging().value_or(true);
  });
}

tl::unexpected<Error> foreign(std::string_view machine) {
  return fail(Errc::unsupported, "a dump of machine {}; only x86_64 is supported", machine);
}

}  // namespace

bool is_foreign_machine(std::string_view name) {
  return arch_from_name(name) == Arch::unknown &&
         std::ranges::any_of(kForeign,
                             [&](std::string_view start) { return name.starts_with(start); });
}

std::string elf_machine_name(std::uint16_t machine) {
  static constexpr std::pair<std::uint16_t, std::string_view> kNames[]{
      {EM_386, "i386"},    {EM_AARCH64, "aarch64"}, {EM_ARM, "arm"},         {EM_PPC64, "ppc64"},
      {EM_PPC, "ppc"},     {EM_S390, "s390x"},      {EM_RISCV, "riscv64"},   {258, "loongarch64"},
      {EM_MIPS, "mips"},   {EM_IA_64, "ia64"},      {EM_SPARCV9, "sparc64"}, {EM_PARISC, "parisc"},
      {EM_ALPHA, "alpha"}, {0x9026, "alpha"},
  };
  if (const Arch arch = arch_from_elf(machine); arch != Arch::unknown) {
    return std::string(names_of(arch).name);
  }
  const auto* const found =
      std::ranges::find(kNames, machine, &std::pair<std::uint16_t, std::string_view>::first);
  return found != std::end(kNames) ? std::string(found->second) : fmt::format("number {}", machine);
}

Result<Arch> check_machine(std::string_view header_says, const std::vector<Note>& notes,
                           std::vector<Remark>& remarks) {
  std::vector<std::string_view> machines;
  for (const Note& note : notes) {
    if (is_xen(note)) {
      return fail(Errc::unsupported,
                  "a dump of a Xen hypervisor and its guests (note {}), which is not supported",
                  note.name);
    }
    gather(note, machines);
  }
  const auto* const narrow = std::ranges::find_if(kArchNames, [&](const ArchNames& each) {
    return !each.qemu_narrow.empty() && each.qemu_narrow == header_says;
  });
  const bool named = is_foreign_machine(header_says);
  if ((!named || narrow != kArchNames.end()) && run_no_kernel(notes)) {
    return narrow != kArchNames.end() ? narrow->arch : kHostArch;
  }
  const auto proven = std::ranges::find_if(
      machines, [](std::string_view machine) { return arch_from_name(machine) != Arch::unknown; });
  if (proven == machines.end()) {
    if (named || !machines.empty()) {
      return foreign(named ? header_says : machines.front());
    }
    return arch_from_name(header_says) != Arch::unknown ? arch_from_name(header_says) : kHostArch;
  }
  if (named) {
    remarks.push_back(
        {Errc::malformed, fmt::format("the header names machine {}, but the notes belong to {}",
                                      header_says, *proven)});
  }
  return arch_from_name(*proven);
}

}  // namespace vmcore::formats
