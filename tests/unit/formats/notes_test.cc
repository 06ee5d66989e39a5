// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/notes.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::poke;

TEST(Notes, GoThroughUnchanged) {
  const std::vector<Note> notes{builders::prstatus_note(1, 2),
                                builders::qemu_note(3, 4),
                                {"", 7, builders::text("odd")},
                                builders::vmcoreinfo_note("A=1\n")};
  const NotesBlock block = serialise_notes(notes);
  const auto parsed = parse_notes(block.bytes, 0);
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->size(), notes.size());
  for (std::size_t i = 0; i < notes.size(); ++i) {
    EXPECT_EQ((*parsed)[i].name, notes[i].name);
    EXPECT_EQ((*parsed)[i].type, notes[i].type);
    EXPECT_EQ((*parsed)[i].desc, notes[i].desc);
  }
}

TEST(Notes, PointsAtTheContentsOfVmcoreinfo) {
  const NotesBlock block =
      serialise_notes({builders::prstatus_note(1, 2), builders::vmcoreinfo_note("A=1\n")});
  const auto contents = std::span(block.bytes).subspan(block.vmcoreinfo_offset);
  ASSERT_EQ(block.vmcoreinfo_size, 4U);
  EXPECT_EQ(Bytes(contents.begin(), contents.begin() + 4), builders::text("A=1\n"));
}

TEST(Notes, EndAtAnEmptyNote) {
  Bytes bytes = serialise_notes({builders::vmcoreinfo_note()}).bytes;
  bytes.resize(bytes.size() + 12);
  const Bytes more = serialise_notes({builders::vmcoreinfo_note()}).bytes;
  bytes.insert(bytes.end(), more.begin(), more.end());
  EXPECT_EQ(parse_notes(bytes, 0)->size(), 1U);
}

TEST(Notes, LengthsPastTheEndAreMalformedAndNamed) {
  for (const std::uint64_t field : {0U, 4U}) {  // n_namesz, n_descsz
    for (const std::uint32_t lie : {100U, 0x7fffffffU, 0xffffffffU}) {
      Bytes bytes = serialise_notes({builders::vmcoreinfo_note()}).bytes;
      poke(bytes, field, lie);
      const auto parsed = parse_notes(bytes, 0x1000);
      ASSERT_FALSE(parsed);
      EXPECT_EQ(parsed.error().code, Errc::malformed);
      EXPECT_NE(parsed.error().message.find("0x1000"), std::string::npos);
    }
  }
}

TEST(Notes, LargeVmcoreinfoIsRefused) {
  const std::string large(kMaxVmcoreinfoSize + 1, 'x');
  const NotesBlock block = serialise_notes({builders::vmcoreinfo_note(large)});
  EXPECT_EQ(parse_notes(block.bytes, 0).error().code, Errc::limit);
}

TEST(Notes, ManyNotesAreRefused) {
  const std::vector<Note> notes(kMaxNotes + 1, Note{"", 1, {}});
  EXPECT_EQ(parse_notes(serialise_notes(notes).bytes, 0).error().code, Errc::limit);
}

TEST(Notes, OneTakesThePlaceOfAnother) {
  std::vector<Note> notes{builders::prstatus_note(1, 2),
                          {"OURS", 7, builders::text("one")},
                          {"OURS", 8, builders::text("two")}};
  EXPECT_TRUE(replace_note(notes, {"OURS", 8, builders::text("TWO")}));
  EXPECT_EQ(notes[1].desc, builders::text("one"));
  EXPECT_EQ(notes[2].desc, builders::text("TWO"));
  // Another length would move what follows.
  EXPECT_FALSE(replace_note(notes, {"OURS", 8, builders::text("three")}));
  EXPECT_FALSE(replace_note(notes, {"OURS", 9, builders::text("two")}));
  EXPECT_FALSE(replace_note(notes, {"THEIRS", 8, builders::text("two")}));
}

TEST(Cpus, ComeFromTheQemuNotesWhereThereAreAny) {
  std::vector<Remark> remarks;
  const auto cpus = read_cpus({builders::prstatus_note(0x10, 0x20), builders::qemu_note(0x30, 0x40),
                               builders::qemu_note(0x50, 0x60)},
                              remarks);
  ASSERT_EQ(cpus.size(), 2U);
  EXPECT_EQ(cpus[1].index, 1U);
  EXPECT_EQ(cpus[1].rip, 0x50U);
  EXPECT_EQ(cpus[1].cr3, 0x60U);
  EXPECT_EQ(cpus[1].cs.selector, 0x10U);
  EXPECT_EQ(cpus[1].gs.base, 0x6500U);
  EXPECT_EQ(cpus[1].kernel_gs_base, 0x7700U);
  EXPECT_EQ(cpus[1].idt.value().base, 0x1d70U);
  EXPECT_TRUE(remarks.empty());
}

TEST(Cpus, ElseFromPrstatus) {
  std::vector<Remark> remarks;
  const auto cpus = read_cpus({builders::prstatus_note(0x10, 0x20)}, remarks);
  ASSERT_EQ(cpus.size(), 1U);
  EXPECT_EQ(cpus[0].rip, 0x10U);
  EXPECT_EQ(cpus[0].rsp, 0x20U);
  EXPECT_EQ(cpus[0].cs.selector, 0x10U);
  EXPECT_FALSE(cpus[0].cr3);
}

std::array<std::uint64_t, 16> general(const CpuState& cpu) {
  return {cpu.rax, cpu.rbx, cpu.rcx, cpu.rdx, cpu.rsi, cpu.rdi, cpu.rbp, cpu.rsp,
          cpu.r8,  cpu.r9,  cpu.r10, cpu.r11, cpu.r12, cpu.r13, cpu.r14, cpu.r15};
}

TEST(Cpus, AreReadAsTheyWereMade) {
  CpuState cpu;
  CpuState other;
  cpu.index = 3, other.index = 4;
  cpu.rsp = 0x1000, cpu.rip = 0x2000, cpu.rflags = 0x46;
  cpu.cs = {.selector = 0x10, .limit = 1, .flags = 2, .base = 3};
  cpu.gs = {.selector = 0, .limit = 0, .flags = 0, .base = 0x4000};
  cpu.ss = {.selector = 0x18, .limit = 5, .flags = 6, .base = 7};
  cpu.fs = {.selector = 0x63, .limit = 0, .flags = 0, .base = 0x9000};
  cpu.tr = Segment{.selector = 0x40, .limit = 0x4087, .flags = 0x8b00, .base = 0xa000};
  cpu.gdt = Segment{.selector = 0, .limit = 0x7f, .flags = 0, .base = 0xb000};
  cpu.idt = Segment{.selector = 0, .limit = 0xfff, .flags = 0, .base = 0x5000};
  cpu.rax = 1, cpu.rbx = 2, cpu.rcx = 3, cpu.rdx = 4, cpu.rsi = 5, cpu.rdi = 6, cpu.rbp = 7;
  cpu.r8 = 8, cpu.r9 = 9, cpu.r10 = 10, cpu.r11 = 11, cpu.r12 = 12, cpu.r13 = 13, cpu.r14 = 14;
  cpu.r15 = 15;
  cpu.cr0 = 1, cpu.cr2 = 0x8000, cpu.cr3 = 0x6000, cpu.cr4 = 4;
  cpu.kernel_gs_base = 0x7000;
  std::vector<Note> notes = make_cpu_notes(std::array{cpu, other});
  ASSERT_EQ(notes.size(), 4U);
  EXPECT_EQ(notes[1].name, "CORE");
  EXPECT_EQ(notes[2].name, "QEMU");
  EXPECT_EQ(notes[0].desc[32], std::byte{4});  // the pid is the number of the vCPU and one
  for (const bool qemu : {true, false}) {
    std::vector<Remark> remarks;
    const auto cpus = read_cpus(notes, remarks);
    ASSERT_EQ(cpus.size(), 2U);
    EXPECT_TRUE(remarks.empty());
    EXPECT_EQ(cpus[0].rip, 0x2000U);
    EXPECT_EQ(cpus[0].rsp, 0x1000U);
    EXPECT_EQ(cpus[0].rflags, 0x46U);
    EXPECT_EQ(cpus[0].cs.selector, 0x10U);
    EXPECT_EQ(cpus[0].gs.base, 0x4000U);
    EXPECT_EQ(general(cpus[0]), general(cpu));
    EXPECT_EQ(cpus[0].ss.selector, 0x18U);
    EXPECT_EQ(cpus[0].fs.selector, 0x63U);
    EXPECT_EQ(cpus[0].fs.base, 0x9000U);
    EXPECT_EQ(cpus[0].cr3.has_value(), qemu);
    EXPECT_EQ(cpus[0].gdt.has_value(), qemu);
    if (qemu) {
      EXPECT_EQ(cpus[0].cr0, 1U);
      EXPECT_EQ(cpus[0].cr3, 0x6000U);
      EXPECT_EQ(cpus[0].cr4, 4U);
      EXPECT_EQ(cpus[0].cr2, 0x8000U);
      EXPECT_EQ(cpus[0].tr, cpu.tr);
      EXPECT_EQ(cpus[0].gdt, cpu.gdt);
      EXPECT_EQ(cpus[0].idt, cpu.idt);
      EXPECT_EQ(cpus[0].ldt, Segment{});
      EXPECT_EQ(cpus[0].kernel_gs_base, 0x7000U);
    }
    notes.resize(2);  // without QEMU's own
  }
}

TEST(Cpus, AnUnknownVersionIsRemarkedAndPrstatusUsed) {
  Note newer = builders::qemu_note(1, 2);
  poke(newer.desc, 0, std::uint32_t{2});
  std::vector<Remark> remarks;
  const auto cpus = read_cpus({newer, builders::prstatus_note(0x10, 0x20)}, remarks);
  ASSERT_EQ(cpus.size(), 1U);
  EXPECT_EQ(cpus[0].rip, 0x10U);
  EXPECT_EQ(remarks.size(), 1U);
}

}  // namespace
}  // namespace vmcore::formats
