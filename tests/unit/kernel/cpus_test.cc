// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/cpus.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;

class CpusTest : public ::testing::Test {
 protected:
  CpuState in_kernel(unsigned linux_cpu) const {
    CpuState cpu;
    cpu.cs.selector = 0x10;
    cpu.gs.base = guest.per_cpu_offset(linux_cpu);
    cpu.kernel_gs_base = 0;
    return cpu;
  }
  CpuState in_user(unsigned linux_cpu, std::uint64_t own_base = 0) const {
    CpuState cpu;
    cpu.cs.selector = 0x33;
    cpu.gs.base = own_base;
    cpu.kernel_gs_base = guest.per_cpu_offset(linux_cpu);
    return cpu;
  }
  CpuOrder order_of(const std::vector<CpuState>& cpus) {
    const MemoryImage image = guest.build();
    const auto found = find_kernels(image, Search::registers);
    const auto kallsyms = Kallsyms::read(found->kernels.at(0));
    return linux_cpu_order(found->kernels.at(0), *kallsyms, cpus);
  }

  GuestBuilder guest{"6.12"};
};

using Order = std::vector<unsigned>;

TEST_F(CpusTest, SortsByLinuxNumber) {
  const CpuOrder order = order_of({in_kernel(2), in_user(0), in_kernel(1)});
  EXPECT_EQ(order.order, (Order{1, 2, 0}));
  EXPECT_TRUE(order.remarks.empty());
}

TEST_F(CpusTest, BetweenSyscallAndSwapgs) {
  CpuState entering = in_user(1, 0x7f00'0000'0000);
  entering.cs.selector = 0x10;
  EXPECT_EQ(order_of({entering, in_kernel(0)}).order, (Order{1, 0}));
}

TEST_F(CpusTest, AProgramThatLoadsAnothersBaseIsNotBelieved) {
  const CpuOrder order = order_of({in_user(1, guest.per_cpu_offset(0)), in_kernel(0)});
  EXPECT_EQ(order.order, (Order{1, 0}));
}

TEST_F(CpusTest, OneThatLinuxDoesNotUseFillsTheGap) {
  const CpuOrder order = order_of({CpuState{}, in_kernel(0), in_kernel(2)});
  EXPECT_EQ(order.order, (Order{1, 0, 2}));
  EXPECT_TRUE(order.remarks.empty());
}

TEST_F(CpusTest, TwoOfOneNumberKeepTheOrderGiven) {
  const CpuOrder order = order_of({in_kernel(1), in_kernel(1)});
  EXPECT_EQ(order.order, (Order{0, 1}));
  EXPECT_EQ(order.remarks.size(), 1U);
}

TEST_F(CpusTest, NoneOfLinuxKeepsTheOrderGiven) {
  const CpuOrder order = order_of({CpuState{}, CpuState{}});
  EXPECT_EQ(order.order, (Order{0, 1}));
  EXPECT_EQ(order.remarks.size(), 1U);
  EXPECT_TRUE(order_of({}).order.empty());
}

TEST_F(CpusTest, TellsTheLinuxNumberOfEach) {
  using Numbers = std::vector<std::optional<unsigned>>;
  EXPECT_EQ(order_of({in_kernel(2), CpuState{}, in_user(0)}).numbers, (Numbers{2, {}, 0}));
  EXPECT_EQ(order_of({in_kernel(3), in_kernel(0)}).numbers, (Numbers{3, 0}));
  EXPECT_EQ(order_of({in_kernel(1), in_kernel(1)}).numbers, (Numbers{{}, {}}));
}

// CPU 1 was offline.
TEST_F(CpusTest, WhoseRegistersWereSaved) {
  guest.crash_notes({0, 2, 3});
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  const GuestKernel& kernel = found->kernels.at(0);
  const auto saved = cpus_with_crash_notes(kernel, *kernel.kallsyms());
  ASSERT_TRUE(saved) << saved.error().message;
  EXPECT_EQ(*saved, (Order{0, 2, 3}));
}

TEST_F(CpusTest, WithoutCrashNotes) {
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  const GuestKernel& kernel = found->kernels.at(0);
  EXPECT_EQ(cpus_with_crash_notes(kernel, *kernel.kallsyms()).error().code, Errc::not_found);
}

TEST_F(CpusTest, Counts) {
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  const auto kallsyms = Kallsyms::read(found->kernels.at(0));
  const auto counts = read_cpu_counts(found->kernels.at(0), *kallsyms);
  ASSERT_TRUE(counts) << counts.error().message;
  EXPECT_EQ(counts->possible, 4U);
  EXPECT_EQ(counts->online, 1U);
}

TEST_F(CpusTest, TooManyIsALimit) {
  const MemoryImage image = guest.build();
  static_cast<testing::SparseMemory&>(*image.memory)
      .write_value(PhysAddr{guest.symbol("nr_cpu_ids").value - 0xffff'ffff'8000'0000},
                   std::uint32_t{1 << 20});
  const auto found = find_kernels(image, Search::registers);
  const auto kallsyms = Kallsyms::read(found->kernels.at(0));
  EXPECT_EQ(read_cpu_counts(found->kernels.at(0), *kallsyms).error().code, Errc::limit);
  EXPECT_EQ(linux_cpu_order(found->kernels.at(0), *kallsyms, image.cpus).remarks.size(), 1U);
}

}  // namespace
}  // namespace vmcore::kernel
