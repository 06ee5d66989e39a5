// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/registers.h"

namespace vmcore {

std::vector<RegisterValue> named_registers(const CpuState& cpu) {
  std::vector<RegisterValue> all{{"rip", cpu.rip},       {"rsp", cpu.rsp}, {"rbp", cpu.rbp},
                                 {"rflags", cpu.rflags}, {"rax", cpu.rax}, {"rbx", cpu.rbx},
                                 {"rcx", cpu.rcx},       {"rdx", cpu.rdx}, {"rsi", cpu.rsi},
                                 {"rdi", cpu.rdi},       {"r8", cpu.r8},   {"r9", cpu.r9},
                                 {"r10", cpu.r10},       {"r11", cpu.r11}, {"r12", cpu.r12},
                                 {"r13", cpu.r13},       {"r14", cpu.r14}, {"r15", cpu.r15}};
  if (cpu.cr2) {
    all.push_back({"cr2", *cpu.cr2});
  }
  if (cpu.cr3) {
    all.push_back({"cr3", *cpu.cr3});
  }
  return all;
}

}  // namespace vmcore
