// SPDX-License-Identifier: GPL-2.0-or-later
// The registers of an x86-64 vCPU.
//
// QEMU's note (target/i386/arch_dump.c, QEMUCPUState version 1, 440 bytes) and the device state of
// its migration stream tell all of them but `efer` and `halted`. NT_PRSTATUS has the general
// purpose registers, the selectors, and the bases of FS and GS. QEMU's monitor tells all but
// `kernel_gs_base`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vmcore {

// A segment register with its hidden part; GDTR and IDTR have a base and a limit only.
struct Segment {
  std::uint32_t selector = 0, limit = 0, flags = 0;
  std::uint64_t base = 0;
  bool operator==(const Segment&) const = default;
};

struct CpuState {
  unsigned index = 0;  // the position among the notes of its kind, or QEMU's number
  std::uint64_t rax = 0, rbx = 0, rcx = 0, rdx = 0, rsi = 0, rdi = 0, rbp = 0, rsp = 0;
  std::uint64_t r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0, r15 = 0;
  std::uint64_t rip = 0, rflags = 0;
  Segment cs, ds, es, fs, gs, ss;
  // Nothing where the source does not tell the register.
  std::optional<Segment> ldt, tr, gdt, idt;
  std::optional<std::uint64_t> cr0, cr2, cr3, cr4;
  std::optional<std::uint64_t> kernel_gs_base;  // swapped with GS's by SWAPGS
  std::optional<std::uint64_t> efer;
  std::optional<bool> halted;

  bool user_mode() const { return (cs.selector & 3) == 3; }
  // CR0.PG and EFER.LMA.
  std::optional<bool> paging() const { return bit(cr0, 31); }
  std::optional<bool> long_mode() const { return bit(efer, 10); }

 private:
  static std::optional<bool> bit(const std::optional<std::uint64_t>& value, unsigned number) {
    return value ? std::optional((*value >> number & 1) != 0) : std::nullopt;
  }
};

struct RegisterValue {
  std::string_view name;
  std::uint64_t value = 0;
};

// RIP, RSP, RBP and RFLAGS, the other general purpose registers, and CR2 and CR3 where the source
// tells them; by lower-case names.
std::vector<RegisterValue> named_registers(const CpuState& cpu);

}  // namespace vmcore
