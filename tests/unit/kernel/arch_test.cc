// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/arch/arch.h"

#include <gtest/gtest.h>

namespace vmcore::kernel {
namespace {

TEST(Architecture, EachThatHasANameHasAStruct) {
  for (const ArchNames& names : kArchNames) {
    const Architecture& arch = architecture_of({names.arch});
    EXPECT_EQ(arch.arch, names.arch) << names.name;
    EXPECT_EQ(arch_from_name(names.name), names.arch);
    EXPECT_EQ(arch_from_elf(names.elf_machine), names.arch);
    EXPECT_NE(arch.translate, nullptr);
    EXPECT_NE(arch.page_tables_of, nullptr);
    EXPECT_NE(arch.kernel_page_tables, nullptr);
  }
  EXPECT_EQ(arch_from_name("vax"), Arch::unknown);
  EXPECT_EQ(names_of(Arch::unknown).name, "");
}

TEST(Architecture, TheImageOfX86_64) {
  const Architecture& arch = architecture_of({Arch::x86_64});
  EXPECT_EQ(arch.image_to_physical({0xffff'ffff'8100'0000}, -0x100'0000), PhysAddr{0});
  EXPECT_EQ(arch.image_to_physical({0xffff'ffff'8120'0000}, 0x10'0000), PhysAddr{0x130'0000});
}

TEST(Architecture, AVcpuOfX86_64) {
  const Architecture& arch = architecture_of({Arch::x86_64});
  CpuState cpu;
  EXPECT_FALSE(arch.tells_page_tables(cpu));
  EXPECT_FALSE(arch.place_of(cpu));
  cpu.cr0 = 0x8005'0033;
  cpu.cr3 = 0x1234'5805;
  EXPECT_TRUE(arch.tells_page_tables(cpu));
  EXPECT_EQ(arch.place_of(cpu), PhysAddr{0x1234'5000});
  cpu.cr0 = 0x10;
  cpu.rip = 0xfff0;  // waits to be started
  EXPECT_FALSE(arch.place_of(cpu));
  cpu.rip = 0x10'0000;
  EXPECT_EQ(arch.place_of(cpu), PhysAddr{0x10'0000});
}

}  // namespace
}  // namespace vmcore::kernel
