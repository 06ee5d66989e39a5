// SPDX-License-Identifier: GPL-2.0-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/kernel/guest_kernel.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

// The only kernel of the image; the image has to outlive it.
GuestKernel only_kernel(const MemoryImage& image, Search search = Search::registers) {
  auto found = find_kernels(image, search);
  EXPECT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->kernels.size(), 1U);
  for (const Remark& remark : found->remarks) {
    ADD_FAILURE() << remark.text;
  }
  return std::move(found->kernels.at(0));
}

class FinderLayouts : public ::testing::TestWithParam<const char*> {};

TEST_P(FinderLayouts, FoundByTheNote) {
  GuestBuilder guest(GetParam());
  const MemoryImage image = guest.build();
  const GuestKernel kernel = only_kernel(image);
  EXPECT_EQ(kernel.info_source(), InfoSource::note);
  EXPECT_EQ(kernel.info().text(), guest.vmcoreinfo_text());
  EXPECT_EQ(kernel.page_tables().root(), guest.root());
  EXPECT_EQ(kernel.phys_base(), 0);
  EXPECT_EQ(kernel.page_offset(), guest.page_offset());
  EXPECT_EQ(kernel.image_range().begin, VirtAddr{0xffff'ffff'8100'0000});
  EXPECT_EQ(kernel.image_range().size, 4U << 20);
}

TEST_P(FinderLayouts, FoundByRegisters) {
  GuestBuilder guest(GetParam());
  guest.without_note();
  const MemoryImage image = guest.build();
  const GuestKernel kernel = only_kernel(image);
  EXPECT_EQ(kernel.info_source(), InfoSource::registers);
  EXPECT_EQ(kernel.info().text(), guest.vmcoreinfo_text());
  EXPECT_EQ(kernel.page_offset(), guest.page_offset());
}

TEST_P(FinderLayouts, FoundByScanningMemory) {
  GuestBuilder guest(GetParam());
  guest.without_note().cpus({});
  const MemoryImage image = guest.build();
  EXPECT_TRUE(find_kernels(image, Search::registers)->kernels.empty());
  const GuestKernel kernel = only_kernel(image, Search::memory);
  EXPECT_EQ(kernel.info_source(), InfoSource::search);
  EXPECT_EQ(kernel.page_offset(), guest.page_offset());
}

INSTANTIATE_TEST_SUITE_P(All, FinderLayouts,
                         ::testing::Values("5.4", "5.15", "6.1", "6.6", "6.12", "7.1"));

// What was found a moment ago, by another look at the same memory.
class FoundBefore : public ::testing::Test {
 protected:
  FoundBefore() : first_(GuestBuilder("6.12").without_note().cpus({}).build()) {
    before_ = *find_kernels(first_, Search::memory);
    EXPECT_EQ(before_.kernels.size(), 1U);
  }
  FoundKernels again(const MemoryImage& image) {
    return *find_kernels(image, Search::registers, &before_);
  }

  MemoryImage first_;
  FoundKernels before_;
};

TEST(KernelFinder, TheFirstOneIsEnoughForADraft) {
  GuestBuilder guest("6.12");
  guest.without_note().cpus({});
  const MemoryImage image = guest.build();
  const GuestKernel kernel = only_kernel(image, Search::first);
  EXPECT_EQ(kernel.info().text(), guest.vmcoreinfo_text());
}

TEST_F(FoundBefore, IsTakenAndReadsTheNewMemory) {
  const MemoryImage image = GuestBuilder("6.12").without_note().cpus({}).build();
  const FoundKernels found = again(image);
  ASSERT_EQ(found.kernels.size(), 1U);  // registers alone lead nowhere
  const GuestKernel& kernel = found.kernels.front();
  EXPECT_EQ(kernel.info_source(), InfoSource::search);
  EXPECT_EQ(&kernel.memory(), image.memory.get());
  EXPECT_EQ(kernel.page_offset(), before_.kernels.front().page_offset());
  EXPECT_EQ(kernel.image_range().size, before_.kernels.front().image_range().size);
}

TEST_F(FoundBefore, WithTheSameNoteIsThatOfTheNote) {
  GuestBuilder guest("6.12");
  const MemoryImage image = guest.build();
  EXPECT_EQ(again(image).kernels.front().info_source(), InfoSource::note);
}

TEST_F(FoundBefore, AnotherBootIsLookedAtAnew) {
  GuestBuilder guest("6.12");
  guest.kaslr(0x140'0000, -0x80'0000, {0xffff'8d5d'0000'0000});
  const MemoryImage image = guest.build();
  const FoundKernels found = again(image);
  ASSERT_EQ(found.kernels.size(), 1U);
  EXPECT_EQ(found.kernels.front().phys_base(), -0x80'0000);
}

TEST_F(FoundBefore, ANoteThatSaysMoreIsBelieved) {
  GuestBuilder guest("6.12");
  guest.vmcoreinfo("CRASHTIME", "1700000000");
  const MemoryImage image = guest.build();
  EXPECT_TRUE(again(image).kernels.front().info().crash_time());
}

// Where a kernel was found by the look before, given to one that must not scan.
class Hint : public ::testing::Test {
 protected:
  Hint() {
    guest_.without_note().cpus({}).vmcoreinfo("BUILD-ID", std::string(40, 'a'));
    image_ = guest_.build();
    place_ = *place_of(*find_kernels(image_, Search::memory));
  }
  FoundKernels look(Search search = Search::registers) const {
    return *find_kernels(image_, search, nullptr, place_);
  }
  // The end of a table for starting CPUs, as another kernel would leave it.
  void write_trampoline(PhysAddr page, std::uint64_t kernel_half) {
    auto& memory = static_cast<testing::SparseMemory&>(*image_.memory);
    memory.write_value(page, std::uint64_t{0x50'0063});
    memory.write_value(page + 511 * 8, kernel_half);
  }

  GuestBuilder guest_{"6.12"};
  InfoPlace place_;
  MemoryImage image_;
};

TEST_F(Hint, LeadsToTheKernel) {
  const FoundKernels found = look();
  ASSERT_EQ(found.kernels.size(), 1U);
  EXPECT_EQ(found.kernels.front().info().text(), guest_.vmcoreinfo_text());
  EXPECT_EQ(found.kernels.front().info_source(), InfoSource::search);
  EXPECT_EQ(place_of(found), place_);
}

TEST_F(Hint, OfAnotherKernelIsNone) {
  place_.build_id = std::string(40, 'b');
  EXPECT_TRUE(look().kernels.empty());
  place_ = {{kMaxPhysAddr - 4096}, ""};
  EXPECT_TRUE(look().kernels.empty());
}

// What it led to lies there still, but another kernel has booted.
TEST_F(Hint, OfAKernelThatIsGoneIsNone) {
  write_trampoline(testing::kTrampoline, 0x700'0063);
  EXPECT_TRUE(look().kernels.empty());
}

TEST_F(Hint, IsNoneWhereTwoKernelsMayRun) {
  write_trampoline({0x9a000}, 0x700'0063);
  EXPECT_TRUE(look().kernels.empty());
}

TEST_F(Hint, ThatIsWrongCostsNothingButTheSearch) {
  const PhysAddr right = place_.address;
  place_.address = {0x30'0000};
  const FoundKernels found = look(Search::memory);
  ASSERT_EQ(found.kernels.size(), 1U);
  EXPECT_EQ(place_of(found)->address, right);
}

// Counts what is read.
class Counted : public PhysicalMemory {
 public:
  explicit Counted(const PhysicalMemory& memory) : memory_(memory) {}
  Extent extent(PhysAddr address) const override { return memory_.extent(address); }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    bytes_ += out.size();
    return memory_.read(address, out);
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  const PhysicalMemory& memory_;
  mutable std::uint64_t bytes_ = 0;
};

TEST_F(Hint, SparesTheScan) {
  const auto bytes_read = [&](const std::optional<InfoPlace>& hint) {
    MemoryImage image;
    image.memory = std::make_unique<Counted>(*image_.memory);
    EXPECT_EQ(find_kernels(image, Search::memory, nullptr, hint)->kernels.size(), 1U);
    return static_cast<const Counted&>(*image.memory).bytes();
  };
  EXPECT_GT(bytes_read({}), 64U << 20);
  EXPECT_LT(bytes_read(place_), 4U << 20);
}

// The kernel that the vCPUs run is as well known by its place as by a search for it.
TEST(PlaceOf, WhatRegistersHaveLedToIsNotSearchedForAgain) {
  GuestBuilder guest("6.12");
  guest.without_note();
  const MemoryImage first = guest.build();
  const auto bytes_read = [&](const std::optional<InfoPlace>& hint) {
    MemoryImage image;
    image.machine = first.machine;
    image.cpus = first.cpus;
    image.memory = std::make_unique<Counted>(*first.memory);
    const FoundKernels found = *find_kernels(image, Search::registers, nullptr, hint);
    EXPECT_EQ(found.kernels.size(), 1U);
    EXPECT_TRUE(found.doubted.empty());
    return static_cast<const Counted&>(*image.memory).bytes();
  };
  const auto place = place_of(*find_kernels(first, Search::registers));
  ASSERT_TRUE(place);
  EXPECT_LT(bytes_read(place) + (3U << 20), bytes_read({}));
}

TEST(PlaceOf, NothingThatHasNoBuildIdInDigits) {
  GuestBuilder guest("6.12");
  guest.without_note().cpus({}).vmcoreinfo("BUILD-ID", "../../etc");
  const MemoryImage image = guest.build();
  EXPECT_FALSE(place_of(*find_kernels(image, Search::memory)));
}

TEST(PlaceOf, NothingThatTheNoteTells) {
  EXPECT_FALSE(place_of(*find_kernels(GuestBuilder("6.12").build(), Search::memory)));
}

// The crashed kernel is somewhere else in that memory, and is to be found.
TEST(KernelFinder, ACaptureKernelIsNotTakenFromBefore) {
  GuestBuilder guest("6.12");
  guest.without_note().cpus({}).command_line("root=/dev/vda1 elfcorehdr=0x2b000000");
  const MemoryImage first = guest.build();
  const MemoryImage image = guest.build();
  const FoundKernels before = *find_kernels(first, Search::first);
  ASSERT_EQ(before.kernels.size(), 1U);
  EXPECT_TRUE(before.remarks.empty());
  EXPECT_TRUE(find_kernels(image, Search::registers, &before)->kernels.empty());
}

TEST_F(FoundBefore, IsNotTakenWhereTheCpusRunSomethingElse) {
  GuestBuilder guest("6.12");
  guest.without_note();
  MemoryImage image = guest.build();
  image.cpus[0].cr3 = 0x1000;  // no tables
  EXPECT_TRUE(again(image).kernels.empty());
}

TEST(KernelFinder, Kaslr) {
  GuestBuilder guest("6.1");
  guest.kaslr(0x140'0000, -0x80'0000, {0xffff'8d5d'0000'0000});
  const MemoryImage image = guest.build();
  const GuestKernel kernel = only_kernel(image);
  EXPECT_EQ(kernel.phys_base(), -0x80'0000);
  EXPECT_EQ(kernel.page_offset(), VirtAddr{0xffff'8d5d'0000'0000});
  EXPECT_EQ(kernel.image_range().begin, VirtAddr{0xffff'ffff'8240'0000});
}

TEST(KernelFinder, FiveLevelsAndEncryption) {
  GuestBuilder guest("6.12");
  guest.five_levels().memory_encryption(1ULL << 47);
  const MemoryImage image = guest.build();
  const GuestKernel kernel = only_kernel(image);
  EXPECT_EQ(kernel.page_tables().levels(), 5U);
  EXPECT_EQ(kernel.page_offset(), VirtAddr{0xff11'0000'0000'0000});
}

TEST(KernelFinder, FiveLevelsByRegisters) {
  GuestBuilder guest("6.12");
  guest.five_levels().without_note();
  const MemoryImage image = guest.build();
  EXPECT_EQ(only_kernel(image).page_tables().levels(), 5U);
}

TEST(KernelFinder, UserModeWithPageTableIsolation) {
  GuestBuilder guest("6.1");
  guest.without_note();
  MemoryImage image = guest.build();
  // The kernel's half of a pair of tables has bit 12 clear, as that of this guest.
  ASSERT_EQ(guest.root().value & 0x1000, 0U);
  image.cpus[0].cs.selector = 0x33;
  image.cpus[0].cr3 = guest.root().value | 0x1000 | 0x805;
  EXPECT_EQ(only_kernel(image).info_source(), InfoSource::registers);
}

TEST(KernelFinder, CpuThatHasNotBegunTellsNothing) {
  GuestBuilder guest("6.1");
  guest.without_note();
  MemoryImage image = guest.build();
  image.cpus[0].cr0 = 0x10;
  EXPECT_TRUE(find_kernels(image, Search::registers)->kernels.empty());
}

TEST(KernelFinder, WrongPhysBaseInTheNoteIsCorrected) {
  GuestBuilder guest("6.1");
  guest.vmcoreinfo("NUMBER(phys_base)", "4194304");
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->kernels.size(), 1U);
  EXPECT_EQ(found->kernels[0].phys_base(), 0);
  ASSERT_EQ(found->remarks.size(), 1U);
  EXPECT_THAT(found->remarks[0].text, HasSubstr("phys_base"));
}

TEST(KernelFinder, FabricatedNoteIsARemark) {
  GuestBuilder guest("6.1");
  MemoryImage image = guest.build();
  constexpr std::string_view kWrong =
      "OSRELEASE=6.1.0-test\nSYMBOL(_stext)=ffffffff82000000\n"
      "SYMBOL(init_top_pgt)=ffffffff83000000\nNUMBER(phys_base)=0\n";
  const auto wrong = std::as_bytes(std::span(kWrong));
  image.notes[0].desc.assign(wrong.begin(), wrong.end());
  const auto found = find_kernels(image, Search::registers);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->kernels.size(), 1U);
  EXPECT_EQ(found->kernels[0].info_source(), InfoSource::registers);
  EXPECT_EQ(found->kernels[0].info().text(), guest.vmcoreinfo_text());
  ASSERT_EQ(found->remarks.size(), 1U);
}

TEST(KernelFinder, ReleaseHasToAgreeWithMemory) {
  GuestBuilder guest("6.1");
  guest.vmcoreinfo("OSRELEASE", "9.9.9");
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::memory);
  ASSERT_TRUE(found);
  EXPECT_TRUE(found->kernels.empty());
  EXPECT_FALSE(found->remarks.empty());
}

TEST(KernelFinder, PageOffsetWithoutMemSection) {
  GuestBuilder guest("6.1");
  guest.kaslr(0, 0, {0xffff'8d5d'0000'0000}).vmcoreinfo("SYMBOL(mem_section)", std::nullopt);
  const MemoryImage image = guest.build();
  EXPECT_EQ(only_kernel(image).page_offset(), VirtAddr{0xffff'8d5d'0000'0000});
}

TEST(KernelFinder, PageOffsetThatCannotBeToldIsARemark) {
  GuestBuilder guest("5.15");
  guest.without_symbols();
  guest.kaslr(0, 0, {0xffff'8d5d'0000'0000}).vmcoreinfo("SYMBOL(mem_section)", std::nullopt);
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  ASSERT_EQ(found->kernels.size(), 1U);
  EXPECT_FALSE(found->kernels[0].page_offset());
  EXPECT_EQ(found->remarks.size(), 1U);
}

TEST(KernelFinder, AMemoryFullOfTextsEnds) {
  GuestBuilder guest("6.1");
  guest.without_note().cpus({});
  MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  for (std::uint64_t pfn = 0x3000; pfn < 0x3400; ++pfn) {
    const std::string text = fmt::format("OSRELEASE=6.1.0-{}\n", pfn);
    memory.write({pfn * 4096}, std::as_bytes(std::span(text)));
  }
  const auto found = find_kernels(image, Search::memory);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->kernels.size(), 1U);
  EXPECT_EQ(found->remarks.size(), 1U);
}

// Counts what is read of another memory.
class CountingMemory : public PhysicalMemory {
 public:
  explicit CountingMemory(std::unique_ptr<PhysicalMemory> memory) : memory_(std::move(memory)) {}
  Extent extent(PhysAddr address) const override { return memory_->extent(address); }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    ++reads_;
    large_ += out.size() >= 1 << 20 ? 1U : 0U;
    return memory_->read(address, out);
  }
  mutable std::uint64_t reads_ = 0;
  mutable std::uint64_t large_ = 0;

 private:
  std::unique_ptr<PhysicalMemory> memory_;
};

// Each of the texts might be the kernel of each of the vCPUs.
TEST(KernelFinder, ManyTextsAndManyCpusEnd) {
  constexpr std::uint64_t kCpus = 500;
  GuestBuilder guest("6.1");
  guest.without_note().cpus({});
  MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  for (std::uint64_t pfn = 0x3000; pfn < 0x3040; ++pfn) {
    const std::string text = fmt::format(
        "OSRELEASE=6.1.0-{}\nSYMBOL(_stext)=ffffffff81000000\n"
        "SYMBOL(init_top_pgt)=ffffffff81001000\n",
        pfn);
    memory.write({pfn * 4096}, std::as_bytes(std::span(text)));
  }
  for (unsigned i = 0; i < kCpus; ++i) {
    CpuState cpu;
    cpu.index = i;
    cpu.cr3 = (0x3800 + i) * 4096;
    image.cpus.push_back(cpu);
  }
  auto counting = std::make_unique<CountingMemory>(std::move(image.memory));
  const CountingMemory& counted = *counting;
  image.memory = std::move(counting);
  ASSERT_TRUE(find_kernels(image, Search::memory));
  EXPECT_LT(counted.reads_, 100'000U);
}

TEST(KernelFinder, ManyKernelImagesAreNotAllSearched) {
  constexpr std::uint64_t kLarge = 2 << 20;
  GuestBuilder guest("6.1");
  guest.without_note().cpus({});
  MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  for (unsigned i = 0; i < 20; ++i) {
    // Three levels, which map one large page where kernel images begin.
    const std::uint64_t top = 0x300'0000 + i * 3ULL * 4096;
    memory.write_value({top + 511 * 8}, top + 0x1003);
    memory.write_value({top + 0x1000 + 510 * 8}, top + 0x2003);
    memory.write_value({top + 0x2000}, (i * kLarge) | 0x83);
    CpuState cpu;
    cpu.index = i;
    cpu.cr3 = top;
    cpu.cr4 = 0;
    image.cpus.push_back(cpu);
  }
  auto counting = std::make_unique<CountingMemory>(std::move(image.memory));
  const CountingMemory& counted = *counting;
  image.memory = std::move(counting);
  ASSERT_TRUE(find_kernels(image, Search::registers));
  EXPECT_EQ(counted.large_, 2 * 8U);  // in chunks of a MiB
}

TEST(GuestKernel, ReadsAcrossPagesAndStopsAtTheFirstThatIsMissing) {
  GuestBuilder guest("6.1");
  guest.page(Pfn{0x2000}, testing::PageKind::anon)
      .page(Pfn{0x2001}, testing::PageKind::anon)
      .excluded(Pfn{0x2002});
  const MemoryImage image = guest.build();
  const GuestKernel kernel = only_kernel(image);
  const VirtAddr begin = guest.page_offset() + 0x2000 * 4096;
  std::vector<std::byte> bytes(3 * 4096);
  const auto got = kernel.read(begin, bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(got->good, 2U * 4096);
  EXPECT_EQ(got->first_bad, PhysAddr{0x2002 * 4096});
  bytes.resize(got->good);
  auto expected = testing::page_pattern(Pfn{0x2000});
  const auto second = testing::page_pattern(Pfn{0x2001});
  expected.insert(expected.end(), second.begin(), second.end());
  EXPECT_EQ(bytes, expected);

  std::vector<std::byte> more(4096 + 1);
  EXPECT_EQ(kernel.read_exactly(begin + 4096, more).error().code, Errc::unreadable);
  EXPECT_EQ(kernel.read_value<std::uint8_t>({0xffff'ffff'ffff'ffff}).error().code,
            Errc::unreadable);
  EXPECT_EQ(kernel.read_value<std::uint64_t>({0x0123'4567'89ab'cdef}).error().code,
            Errc::unreadable);
}

}  // namespace
}  // namespace vmcore::kernel
