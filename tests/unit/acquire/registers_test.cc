// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/registers.h"

#include <gtest/gtest.h>

#include <string>

namespace vmcore::acquire {
namespace {

using qmp::Json;

// QEMU 7.2, -S: in the first instruction of the firmware.
constexpr std::string_view kReset =
    "EAX=00000000 EBX=00000000 ECX=00000000 EDX=00060fb1\r\n"
    "ESI=00000000 EDI=00000000 EBP=00000000 ESP=00000010\r\n"
    "EIP=0000fff0 EFL=00000002 [-------] CPL=0 II=0 A20=1 SMM=0 HLT=0\r\n"
    "ES =0000 00000000 0000ffff 00009300\r\n"
    "CS =f000 ffff0000 0000ffff 00009b00\r\n"
    "GS =0000 00000000 0000ffff 00009300\r\n"
    "LDT=0000 00000000 0000ffff 00008200\r\n"
    "GDT=     00000000 0000ffff\r\n"
    "IDT=     00000000 0000ffff\r\n"
    "CR0=60000010 CR2=00000000 CR3=00000000 CR4=00000000\r\n"
    "DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 \r\n"
    "DR6=00000000ffff0ff0 DR7=0000000000000400\r\n"
    "EFER=0000000000000000\r\n"
    "FCW=037f FSW=0000 [ST=0] FTW=00 MXCSR=00001f80\r\n"
    "XMM00=0000000000000000 0000000000000000 XMM01=0000000000000000 0000000000000000\r\n";

// QEMU 5.2, with the lines that it has beside those of 7.2, of a 64-bit kernel.
constexpr std::string_view kLong =
    "RAX=ffffffff81a2b0c0 RBX=0000000000000001 RCX=0000000000000000 RDX=0000000000000000\r\n"
    "RSI=0000000000000087 RDI=0000000000000001 RBP=0000000000000001 RSP=ffffc90000073ed8\r\n"
    "R8 =ffff88803ed1c640 R9 =0000000000000200 R10=0000000000000000 R11=0000000000000000\r\n"
    "R12=ffffffff82f5d8e0 R13=0000000000000000 R14=0000000000000000 R15=0000000000000000\r\n"
    "RIP=ffffffff81a2b4ae RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
    "ES =0000 0000000000000000 ffffffff 00000000\r\n"
    "CS =0010 0000000000000000 ffffffff 00af9b00 DPL=0 CS64 [-RA]\r\n"
    "SS =0018 0000000000000000 ffffffff 00cf9300 DPL=0 DS   [-WA]\r\n"
    "FS =0000 0000000000000000 ffffffff 00000000\r\n"
    "GS =0000 ffff88803ed00000 ffffffff 00000000\r\n"
    "TR =0040 fffffe000003e000 00004087 00008b00 DPL=0 TSS64-busy\r\n"
    "GDT=     fffffe000003c000 0000007f\r\n"
    "IDT=     fffffe0000000000 00000fff\r\n"
    "CR0=80050033 CR2=00007f2f0e0d3000 CR3=000000000260a000 CR4=000006e0\r\n"
    "DR0=0000000000000000 DR1=0000000000000000 DR2=0000000000000000 DR3=0000000000000000 \r\n"
    "DR6=00000000ffff0ff0 DR7=0000000000000400\r\n"
    "CCS=0000000000000044 CCD=0000000000000000 CCO=EFLAGS\r\n"
    "EFER=0000000000000d01\r\n";

// QEMU 11.0: what APX adds, a user's 32-bit program under a 64-bit kernel, and no CCS.
constexpr std::string_view kCompatible =
    "EAX=0000014e EBX=f7fb1000 ECX=00000001 EDX=ffb2d9a4\r\n"
    "ESI=f7fb1000 EDI=00000000 EBP=ffb2d978 ESP=ffb2d95c\r\n"
    "EIP=f7fd8549 EFL=00000286 [--S--P-] CPL=3 II=0 A20=1 SMM=0 HLT=0\r\n"
    "CS =0023 00000000 ffffffff 00cffb00 DPL=3 CS32 [-RA]\r\n"
    "GS =0063 f7fc9540 ffffffff 00d0f300 DPL=3 DS   [-WA]\r\n"
    "GDT=     fffffe0000001000 0000007f\r\n"
    "IDT=     fffffe0000000000 00000fff\r\n"
    "CR0=80050033 CR2=00000000f7ee1000 CR3=00000000048d2000 CR4=00350ef0\r\n"
    "EFER=0000000000000d01\r\n";

// QEMU 10.0: a 32-bit kernel with PAE.
constexpr std::string_view kPae =
    "EAX=00000000 EBX=00000000 ECX=00000000 EDX=00000000\r\n"
    "ESI=00000000 EDI=d1c0e7e0 EBP=d1bfdf54 ESP=d1bfdf50\r\n"
    "EIP=d182e31c EFL=00200246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1\r\n"
    "CS =0060 00000000 ffffffff 00cf9b00 DPL=0 CS32 [-RA]\r\n"
    "FS =00d8 2b7be000 ffffffff 008f9300 DPL=0 DS16 [-WA]\r\n"
    "GS =0000 00000000 ffffffff 00000000\r\n"
    "GDT=     ff401000 000000ff\r\n"
    "IDT=     ff400000 000007ff\r\n"
    "CR0=80050033 CR2=b7eb3000 CR3=11d9a000 CR4=000006f0\r\n"
    "DR6=00000000ffff0ff0 DR7=0000000000000400\r\n"
    "EFER=0000000000000000\r\n";

std::string with_all(std::initializer_list<std::string_view> cpus) {
  std::string text;
  unsigned index = 0;
  for (const std::string_view cpu : cpus) {
    text += fmt::format("\r\nCPU#{}\r\n{}", index++, cpu);
  }
  return text;
}

std::string changed(std::string_view text, std::string_view from, std::string_view to) {
  std::string other(text);
  other.replace(other.find(from), from.size(), to);
  return other;
}

TEST(Registers, OfA64BitKernel) {
  const auto cpus = parse_registers(kLong, 3);
  ASSERT_TRUE(cpus) << cpus.error().message;
  ASSERT_EQ(cpus->size(), 1U);
  const CpuState& cpu = cpus->front();
  EXPECT_EQ(cpu.index, 3U);
  EXPECT_EQ(cpu.rip, 0xffffffff81a2b4aeU);
  EXPECT_EQ(cpu.rsp, 0xffffc90000073ed8U);
  EXPECT_EQ(cpu.rflags, 0x246U);
  EXPECT_EQ(cpu.cs.selector, 0x10U);
  EXPECT_EQ(cpu.gs.base, 0xffff88803ed00000U);
  EXPECT_EQ(cpu.rax, 0xffffffff81a2b0c0U);
  EXPECT_EQ(cpu.rbx, 1U);
  EXPECT_EQ(cpu.rsi, 0x87U);
  EXPECT_EQ(cpu.rdi, 1U);
  EXPECT_EQ(cpu.rbp, 1U);
  EXPECT_EQ(cpu.r8, 0xffff88803ed1c640U);
  EXPECT_EQ(cpu.r9, 0x200U);
  EXPECT_EQ(cpu.r12, 0xffffffff82f5d8e0U);
  EXPECT_EQ(cpu.cs, (Segment{0x10, 0xffffffff, 0xaf9b00, 0}));
  EXPECT_EQ(cpu.ss, (Segment{0x18, 0xffffffff, 0xcf9300, 0}));
  EXPECT_EQ(cpu.fs, (Segment{0, 0xffffffff, 0, 0}));
  EXPECT_FALSE(cpu.ldt);
  EXPECT_EQ(cpu.tr, (Segment{0x40, 0x4087, 0x8b00, 0xfffffe000003e000}));
  EXPECT_EQ(cpu.gdt, (Segment{0, 0x7f, 0, 0xfffffe000003c000}));
  EXPECT_EQ(cpu.idt, (Segment{0, 0xfff, 0, 0xfffffe0000000000}));
  EXPECT_EQ(cpu.cr2, 0x7f2f0e0d3000U);
  EXPECT_EQ(cpu.cr0, 0x80050033U);
  EXPECT_EQ(cpu.cr3, 0x260a000U);
  EXPECT_EQ(cpu.cr4, 0x6e0U);
  EXPECT_EQ(cpu.efer, 0xd01U);
  EXPECT_EQ(cpu.halted, true);
  EXPECT_FALSE(cpu.kernel_gs_base);
}

TEST(Registers, OfAllCpusInEveryForm) {
  const auto cpus = parse_registers(with_all({kReset, kLong, kCompatible, kPae}));
  ASSERT_TRUE(cpus) << cpus.error().message;
  ASSERT_EQ(cpus->size(), 4U);
  const CpuState& reset = (*cpus)[0];
  EXPECT_EQ(reset.index, 0U);
  EXPECT_EQ(reset.rip, 0xfff0U);
  EXPECT_EQ(reset.rsp, 0x10U);
  EXPECT_EQ(reset.cs.selector, 0xf000U);
  EXPECT_EQ(reset.cr0, 0x60000010U);
  EXPECT_EQ(reset.efer, 0U);
  EXPECT_EQ(reset.halted, false);
  const CpuState& compatible = (*cpus)[2];
  EXPECT_EQ(compatible.index, 2U);
  EXPECT_TRUE(compatible.user_mode());
  EXPECT_EQ(compatible.rip, 0xf7fd8549U);
  EXPECT_EQ(compatible.rax, 0x14eU);
  EXPECT_EQ(compatible.rbx, 0xf7fb1000U);
  EXPECT_EQ(compatible.gs, (Segment{0x63, 0xffffffff, 0xd0f300, 0xf7fc9540}));
  EXPECT_EQ(compatible.idt, (Segment{0, 0xfff, 0, 0xfffffe0000000000}));
  EXPECT_EQ(compatible.efer, 0xd01U);
  const CpuState& pae = (*cpus)[3];
  EXPECT_EQ(pae.index, 3U);
  EXPECT_EQ(pae.cr3, 0x11d9a000U);
  EXPECT_EQ(pae.cr4, 0x6f0U);
  EXPECT_EQ(pae.efer, 0U);
}

// EFER came to the text of all CPUs in v2.10; who has none may be asked all the same.
TEST(Registers, WithoutEferAndState) {
  auto text = changed(kPae, "EFER=0000000000000000\r\n", "");
  text = changed(text, " HLT=1", "");
  const auto cpus = parse_registers(text);
  ASSERT_TRUE(cpus) << cpus.error().message;
  EXPECT_FALSE(cpus->front().efer);
  EXPECT_FALSE(cpus->front().halted);
}

TEST(Registers, AreRefusedInAnotherForm) {
  const auto refused = [](std::string_view text) {
    const auto cpus = parse_registers(text);
    return !cpus && cpus.error().code == Errc::unsupported;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("\r\n\r\n"));
  EXPECT_TRUE(refused("CPU#0\r\n"));
  // aarch64.
  EXPECT_TRUE(
      refused(" PC=ffff800080f1c0ac X00=00000000000000e0 X01=ffff00000383c000\r\n"
              "PSTATE=600000c5 -ZC- EL1h  FPU disabled\r\n"));
  for (const char* const needed : {"EIP=", "ESP=", "CS =", "CR0=", "CR3=", "CR4="}) {
    EXPECT_TRUE(refused(changed(kPae, needed, "XXX="))) << needed;
    // One of several is enough.
    EXPECT_TRUE(refused(with_all({kLong, changed(kPae, needed, "XXX=")}))) << needed;
  }
  EXPECT_TRUE(refused(changed(kPae, "CR3=11d9a000", "CR3=11d9g000")));
  EXPECT_TRUE(refused(changed(kPae, "CR3=11d9a000", "CR3=-1d9a000")));
  EXPECT_TRUE(refused(changed(kPae, "CR3=11d9a000", "CR3=")));
  EXPECT_TRUE(refused(changed(kPae, "CR3=11d9a000", "CR3=10000000000000000")));  // 65 bits
  EXPECT_TRUE(refused(changed(kPae, "CS =0060", "CS =10060")));
  EXPECT_TRUE(refused(changed(with_all({kPae}), "CPU#0", "CPU#-1")));
  EXPECT_TRUE(refused(changed(with_all({kPae}), "CPU#0", "CPU#65536")));
  std::string many;
  for (std::size_t i = 0; i <= kMostCpus; ++i) {
    many += fmt::format("CPU#{}\n{}", i, kPae);
  }
  EXPECT_TRUE(refused(many));
}

CpuMode mode_of_texts(std::initializer_list<std::string_view> texts) {
  return mode_of(parse_registers(with_all(texts)).value());
}

TEST(Registers, TellWhatTheCpusRun) {
  EXPECT_EQ(mode_of_texts({kReset}), CpuMode::no_paging);
  EXPECT_EQ(mode_of_texts({kReset, kReset}), CpuMode::no_paging);
  EXPECT_EQ(mode_of_texts({kPae}), CpuMode::paging_32);
  EXPECT_EQ(mode_of_texts({kPae, kReset}), CpuMode::paging_32);  // one waits to be started
  EXPECT_EQ(mode_of_texts({kReset, kPae}), CpuMode::paging_32);
  EXPECT_EQ(mode_of_texts({kLong}), CpuMode::paging_64);
  EXPECT_EQ(mode_of_texts({kCompatible}), CpuMode::paging_64);  // of a program's 32-bit code
  EXPECT_EQ(mode_of_texts({kReset, kLong}), CpuMode::paging_64);
  const std::string no_efer = changed(kPae, "EFER=", "XXXX=");
  EXPECT_EQ(mode_of_texts({no_efer}), CpuMode::unknown);
  EXPECT_EQ(mode_of_texts({no_efer, kLong}), CpuMode::paging_64);
  EXPECT_EQ(mode_of({}), CpuMode::unknown);
}

// A monitor whose CPUs are 0 and 2: 1 was unplugged.
Result<Json> answer(const std::string& command, const Json& arguments) {
  if (command == "query-cpus-fast") {
    return Json::array({{{"cpu-index", 0U}, {"thread-id", 1}}, {{"cpu-index", 2U}}});
  }
  EXPECT_EQ(command, "human-monitor-command");
  EXPECT_EQ(arguments.at("command-line"), "info registers");
  return arguments.at("cpu-index") == 0 ? Json(kLong) : Json(with_all({kPae}));
}

TEST(Registers, AreAskedForCpuByCpu) {
  const auto cpus = read_registers(answer);
  ASSERT_TRUE(cpus) << cpus.error().message;
  ASSERT_EQ(cpus->size(), 2U);
  EXPECT_EQ((*cpus)[0].cr3, 0x260a000U);
  EXPECT_EQ((*cpus)[1].index, 2U);
  EXPECT_EQ((*cpus)[1].cr3, 0x11d9a000U);
}

TEST(Registers, AreNotHadFromAnotherMonitor) {
  const auto error_of = [](const Json& cpus, const Json& text) {
    const auto told = read_registers([&](const std::string& command, const Json&) -> Result<Json> {
      return command == "query-cpus-fast" ? cpus : text;
    });
    return told ? Errc::io : told.error().code;
  };
  const Json one = Json::array({{{"cpu-index", 0U}}});
  EXPECT_EQ(error_of(Json::object(), ""), Errc::unsupported);
  EXPECT_EQ(error_of(Json::array(), ""), Errc::unsupported);
  EXPECT_EQ(error_of(Json::array({7}), Json(kPae)), Errc::unsupported);
  EXPECT_EQ(error_of(Json::array({{{"cpu-index", 65536U}}}), Json(kPae)), Errc::unsupported);
  EXPECT_EQ(error_of(Json::array({{{"cpu-index", -1}}}), Json(kPae)), Errc::unsupported);
  EXPECT_EQ(error_of(one, Json(7)), Errc::unsupported);
  EXPECT_EQ(error_of(one, Json("")), Errc::unsupported);
}

}  // namespace
}  // namespace vmcore::acquire
