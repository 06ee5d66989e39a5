// SPDX-License-Identifier: GPL-2.0-or-later
// x86-64: page tables of 4 and 5 levels, page table isolation, encrypted memory (SME, SEV).
#include <utility>

#include "src/image/page.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/arch/x86_64_trampoline.h"

namespace vmcore::kernel {

extern const Architecture kX86_64;

namespace {

// A page table entry (Intel SDM volume 3, 4.5).
constexpr std::uint64_t kPresent = 1ULL << 0;
constexpr std::uint64_t kLargePage = 1ULL << 7;
constexpr std::uint64_t kAddressBits = 0x000f'ffff'ffff'f000;

constexpr unsigned kIndexBits = 9;

// Largest level with large pages: 1 is a page table (4 KiB), 2 a directory (2 MiB), 3 of 1 GiB.
constexpr unsigned kLargestPageLevel = 3;

// Bit 12 of CR3: the user half of page table isolation (v4.15, 8a09317b895f).
constexpr std::uint64_t kCr3UserHalf = 1ULL << 12;
constexpr std::uint64_t kCr4FiveLevels = 1ULL << 12;  // LA57

// Without KASLR: v4.20 (d52888aa2753), before it, and with 5 levels.
constexpr std::array kFixedPageOffsets{
    VirtAddr{0xffff'8880'0000'0000}, VirtAddr{0xffff'8800'0000'0000},
    VirtAddr{0xff11'0000'0000'0000}, VirtAddr{0xff10'0000'0000'0000}};

// struct pt_regs, the same since v2.6.
constexpr std::array<std::string_view, 21> kExceptionRegisters{
    "r15", "r14", "r13", "r12", "rbp",      "rbx", "r11", "r10",    "r9",  "r8", "rax",
    "rcx", "rdx", "rsi", "rdi", "orig_rax", "rip", "cs",  "rflags", "rsp", "ss"};

// System V ABI.
constexpr std::array<std::string_view, 6> kArgumentRegisters{"rdi", "rsi", "rdx",
                                                             "rcx", "r8",  "r9"};

bool is_canonical(VirtAddr address, unsigned levels) {
  const unsigned sign_bit = kPageShift + levels * kIndexBits - 1;
  const std::uint64_t high = address.value >> sign_bit;
  return high == 0 || high == ~0ULL >> sign_bit;
}

Result<Mapping> translate(const PageTables& tables, VirtAddr address, std::vector<PhysAddr>* way) {
  if (!is_canonical(address, tables.levels())) {
    return fail(Errc::not_found, "virtual address {:#x} is not canonical", address.value);
  }
  const std::uint64_t address_bits = kAddressBits & ~tables.encryption_mask();
  PhysAddr table{tables.root().value & address_bits};
  for (unsigned level = tables.levels();; --level) {
    const unsigned shift = kPageShift + (level - 1) * kIndexBits;
    const std::uint64_t index = (address.value >> shift) & ((1U << kIndexBits) - 1);
    std::uint64_t entry = 0;
    if (way != nullptr) {
      way->push_back(table);
    }
    if (auto read = read_exactly(tables.memory(), table + index * sizeof(entry),
                                 std::as_writable_bytes(std::span(&entry, 1)));
        !read) {
      return in_context(std::move(read).error(), "page table");
    }
    if ((entry & kPresent) == 0) {
      return fail(Errc::not_found, "virtual address {:#x} is not mapped", address.value);
    }
    const std::uint64_t target = entry & address_bits;
    if (target >= kMaxPhysAddr) {
      return fail(Errc::malformed,
                  "page table entry {:#x} of virtual address {:#x} leads outside of memory", entry,
                  address.value);
    }
    const bool large = (entry & kLargePage) != 0 && level <= kLargestPageLevel;
    if (level == 1 || large) {
      const std::uint64_t size = 1ULL << shift;
      const std::uint64_t offset = address.value & (size - 1);
      return Mapping{{(target & ~(size - 1)) + offset}, size - offset};
    }
    table = PhysAddr{target};
  }
}

// CR0 is never 0 (its bit ET is fixed): who wrote such a note did not know the registers.
bool tells_page_tables(const CpuState& cpu) { return cpu.cr3 && cpu.cr0.value_or(1) != 0; }

// Bit 12 of CR3 is part of the address, or marks the user half: both are returned. So are 4 and 5
// levels where CR4 is not known.
std::vector<PageTables> page_tables_of(const PhysicalMemory& memory, const CpuState& cpu) {
  std::vector<PageTables> candidates;
  if (!cpu.cr3 || !cpu.paging().value_or(true)) {
    return candidates;
  }
  std::vector<unsigned> levels{4, 5};
  if (cpu.cr4) {
    levels = {(*cpu.cr4 & kCr4FiveLevels) != 0 ? 5U : 4U};
  }
  const std::uint64_t root = *cpu.cr3 & kAddressBits;
  for (const unsigned each : levels) {
    if ((root & kCr3UserHalf) != 0) {
      candidates.emplace_back(kX86_64, memory, PhysAddr{root & ~kCr3UserHalf}, each, 0);
    }
    candidates.emplace_back(kX86_64, memory, PhysAddr{root}, each, 0);
  }
  return candidates;
}

// A CPU that was never started waits in the first MiB.
std::optional<PhysAddr> place_of(const CpuState& cpu) {
  if (!cpu.cr0 || !cpu.cr3) {
    return std::nullopt;
  }
  if (*cpu.paging()) {
    return PhysAddr{*cpu.cr3 & kAddressBits};
  }
  constexpr std::uint64_t kFirmware = 1U << 20;
  return cpu.rip < kFirmware ? std::nullopt : std::optional(PhysAddr{cpu.rip});
}

// Between SYSCALL, or an exception from user mode, and SWAPGS the kernel's base is still in the
// other register; a user's own GS base is believed last, since a program may load any.
std::array<std::optional<std::uint64_t>, 2> per_cpu_bases(const CpuState& cpu) {
  std::array<std::optional<std::uint64_t>, 2> bases{cpu.gs.base, cpu.kernel_gs_base};
  if (cpu.user_mode()) {
    std::swap(bases[0], bases[1]);
  }
  return bases;
}

std::optional<std::int64_t> phys_base_from_vmcoreinfo(const Vmcoreinfo& info) {
  return info.number("phys_base");  // v4.10, 401721ecd1dc
}

// The symbol is init_top_pgt since v4.13 (65ade2f872b4).
Result<PageTables> kernel_page_tables(const PhysicalMemory& memory, const Vmcoreinfo& info,
                                      std::int64_t phys_base) {
  for (const char* name : {"init_top_pgt", "init_level4_pgt", "swapper_pg_dir"}) {
    const auto symbol = info.symbol(name);
    if (!symbol) {
      continue;
    }
    const PhysAddr root = kX86_64.image_to_physical(*symbol, phys_base);
    if (root.value >= kMaxPhysAddr || root.value % kPageSize != 0) {
      return fail(Errc::malformed, "VMCOREINFO: {}={:#x} is not plausible", name, root.value);
    }
    return PageTables(kX86_64, memory, root,
                      info.number("pgtable_l5_enabled").value_or(0) == 1 ? 5U : 4U,
                      static_cast<std::uint64_t>(info.number("sme_mask").value_or(0)));
  }
  return fail(Errc::malformed, "VMCOREINFO has no page tables");
}

}  // namespace

constinit const Architecture kX86_64{
    .arch = Arch::x86_64,
    .kernel_half = {0xff00'0000'0000'0000},
    .nowhere = {0x4000'0000'0000'0000},
    .kernel_map = {0xffff'ffff'8000'0000},  // __START_KERNEL_map
    .kernel_align = 2ULL << 20,             // CONFIG_PHYSICAL_ALIGN, at least
    .max_kernel_image = 1ULL << 30,         // KERNEL_IMAGE_SIZE with KASLR; 512 MiB without
    .direct_map_align = 1ULL << 30,
    .fixed_page_offsets = kFixedPageOffsets,
    // arch/x86/include/asm/sparsemem.h
    .section_bits = 27,
    .memory_bits = [](const PageTables& tables) { return tables.levels() == 5 ? 52U : 46U; },
    // DMA, DMA32, NORMAL, MOVABLE, DEVICE (v4.3, 033fbae988fc)
    .zone_bits = 3,
    .device_zone = 4,
    .translate = translate,
    .tells_page_tables = tells_page_tables,
    .page_tables_of = page_tables_of,
    .place_of = place_of,
    .per_cpu_bases = per_cpu_bases,
    .exception_registers = kExceptionRegisters,
    .argument_registers = kArgumentRegisters,
    .task_stack_bytes = 16 << 10,  // v3.15 (6538b8ea886e)
    .irq_stack_bytes = 16 << 10,   // v2.6.24
    .phys_base = phys_base_from_vmcoreinfo,
    .kernel_page_tables = kernel_page_tables,
    .booted_last = x86_64_booted_last,
};

}  // namespace vmcore::kernel
