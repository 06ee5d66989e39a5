// SPDX-License-Identifier: GPL-2.0-or-later
// What QEMU's monitor for people says of registers: whatever it says, the CPUs are few and whole.
#include <cstdint>
#include <cstdlib>

#include "src/acquire/qmp/registers.h"
#include "tests/fuzz/change.h"

namespace {

const std::vector<std::string> kTexts = {
    "\r\nCPU#0\r\n"
    "RSI=0000000000000087 RDI=0000000000000001 RBP=0000000000000001 RSP=ffffc90000073ed8\r\n"
    "RIP=ffffffff81a2b4ae RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
    "CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"
    "GS =0000 ffff88803ed00000 ffffffff 00000000\r\n"
    "IDT=     fffffe0000000000 00000fff\r\n"
    "CR0=80050033 CR2=00007f2f0e0d3000 CR3=000000000260a000 CR4=000006e0\r\n"
    "EFER=0000000000000d01\r\n"
    "\r\nCPU#1\r\n"
    "ESI=00000000 EDI=d1c0e7e0 EBP=d1bfdf54 ESP=d1bfdf50\r\n"
    "EIP=d182e31c EFL=00200246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
    "CS =0060 00000000 ffffffff 00cf9b00 DPL=0 CS32 [-RA]\r\n"
    "GS =0000 00000000 ffffffff 00000000\r\n"
    "IDT=     ff400000 000007ff\r\n"
    "CR0=80050033 CR2=b7eb3000 CR3=11d9a000 CR4=000006f0\r\n"
    "EFER=0000000000000000\r\n"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmcore;
  const std::string text = fuzz::changed_text(kTexts, std::as_bytes(std::span(data, size)));
  const auto cpus = acquire::parse_registers(text);
  if (!cpus) {
    return 0;
  }
  if (cpus->empty() || cpus->size() > acquire::kMostCpus) {
    std::abort();
  }
  for (const CpuState& cpu : *cpus) {
    if (!cpu.cr0 || !cpu.cr3 || !cpu.cr4 || cpu.index > UINT16_MAX) {
      std::abort();
    }
  }
  return 0;
}
