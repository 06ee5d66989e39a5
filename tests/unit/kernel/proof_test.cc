// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/proof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/builders/two_kernels.h"

namespace vmcore::kernel {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::GuestBuilder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::SparseMemory;

constexpr PhysAddr kIdentity{0x20'0000};  // page tables of a boot loader
constexpr std::uint64_t kCode = 0x30'0000;

SparseMemory& memory_of(MemoryImage& image) { return static_cast<SparseMemory&>(*image.memory); }

// The first GiB, one to one, as firmware, purgatories and decompressors have it.
void write_identity(SparseMemory& memory) {
  memory.write_value(kIdentity, kIdentity.value + 0x1000 + 3);
  memory.write_value(kIdentity + 0x1000, std::uint64_t{0x83});
}

CpuState cpu_in_identity(unsigned index = 0) {
  CpuState cpu;
  cpu.index = index;
  cpu.cs.selector = 0x10;
  cpu.rip = kCode;
  cpu.rsp = kCode + 0x2000;
  cpu.cr0 = 0x8000'0011;
  cpu.cr3 = kIdentity.value;
  cpu.cr4 = 0x20;
  return cpu;
}

CpuState cpu_of(const GuestBuilder& guest, unsigned index = 0) {
  CpuState cpu = cpu_in_identity(index);
  cpu.rip = guest.symbol("_stext").value;
  cpu.rsp = guest.page_offset().value + 0x60'0000;
  cpu.cr3 = guest.root().value;
  return cpu;
}

std::string all_text(const FoundKernels& found) {
  std::string text;
  for (const Remark& remark : found.remarks) {
    text += remark.text + "\n";
  }
  return text;
}

void expect_doubted(const FoundKernels& found, std::string_view why) {
  EXPECT_TRUE(found.kernels.empty());
  ASSERT_EQ(found.doubted.size(), 1U);
  EXPECT_THAT(found.doubted[0].why, HasSubstr(std::string(why)));
  EXPECT_THAT(all_text(found), HasSubstr(std::string(found.doubted[0].kernel.info().release())));
  EXPECT_THAT(all_text(found), HasSubstr(std::string(why)));
}

class Proof : public ::testing::Test {
 protected:
  FoundKernels found(Search search = Search::memory) const { return *find_kernels(image_, search); }
  SparseMemory& memory() { return memory_of(image_); }
  void poke(std::string_view symbol, std::uint64_t value) {
    memory().write_value(guest_.physical(guest_.symbol(symbol)), value);
  }

  GuestBuilder guest_{"6.12"};
  MemoryImage image_ = guest_.build();
};

// By the note, and by a search.
TEST(DeadKernel, AfterAResetIsDoubted) {
  for (const char* layout : {"5.4", "5.15", "6.1", "6.12", "7.1"}) {
    for (const bool note : {true, false}) {
      GuestBuilder guest(layout);
      if (!note) {
        guest.without_note();
      }
      MemoryImage image = guest.build();
      image.cpus[0] = cpu_in_identity();
      image.cpus[0].cr0 = 0x6000'0010;
      expect_doubted(*find_kernels(image, Search::memory), "no vCPU uses page tables");
      write_identity(memory_of(image));
      image.cpus[0] = cpu_in_identity();
      expect_doubted(*find_kernels(image, Search::memory),
                     "no vCPU's page tables lead to its code");
    }
  }
}

TEST_F(Proof, WithoutCr3NothingIsDoubted) {
  image_.cpus[0].cr3 = std::nullopt;
  EXPECT_EQ(found().kernels.size(), 1U);
  image_.cpus[0].cr0 = image_.cpus[0].cr3 = 0;  // of a writer that fills in zeros
  EXPECT_EQ(found().kernels.size(), 1U);
  image_.cpus.clear();
  EXPECT_EQ(found().kernels.size(), 1U);
}

TEST_F(Proof, WhatIsMissingInAnIncompleteFileDisprovesNothing) {
  constexpr PhysAddr kOwn{0x380'0000};  // the top table of a process
  std::vector<std::byte> top(4096);
  ASSERT_TRUE(read_exactly(memory(), guest_.root(), top));
  memory().write(kOwn, top);
  image_.cpus[0].cr3 = kOwn.value;
  EXPECT_EQ(found().kernels.size(), 1U);
  memory().exclude({kOwn.value / 4096});
  EXPECT_TRUE(found().kernels.empty());
  image_.file.incomplete = true;
  EXPECT_EQ(found().kernels.size(), 1U);
  image_.cpus.push_back(cpu_in_identity(1));  // it is seen to run something else
  write_identity(memory());
  EXPECT_TRUE(found().kernels.empty());
}

TEST_F(Proof, OneCpuIsEnough) {
  write_identity(memory());
  CpuState waits = cpu_in_identity(1);
  waits.cr0 = 0x6000'0010;
  waits.cr3 = 0;
  CpuState parked = cpu_in_identity(2);  // by newer firmware, with tables of its own
  image_.cpus = {waits, parked, cpu_of(guest_, 3)};
  EXPECT_EQ(found().kernels.size(), 1U);
  EXPECT_TRUE(found().doubted.empty());
}

// Interrupted in user mode under page table isolation: CR3 is of the half that has no kernel.
TEST_F(Proof, TheKernelsHalfIsLookedAtUnderPageTableIsolation) {
  ASSERT_EQ(guest_.root().value & 0x1000, 0U);
  image_.cpus[0].cs.selector = 0x33;
  image_.cpus[0].cr3 = guest_.root().value | 0x1000 | 0x805;
  EXPECT_EQ(found().kernels.size(), 1U);
}

TEST(FiveLevels, AreProvenByTablesOfFiveLevels) {
  GuestBuilder guest("6.12");
  guest.five_levels();
  MemoryImage image = guest.build();
  EXPECT_EQ(find_kernels(image, Search::memory)->kernels.size(), 1U);
  image.cpus[0].cr4 = 0x20;
  EXPECT_TRUE(find_kernels(image, Search::memory)->kernels.empty());
}

TEST(EncryptedMemory, HasABitInEntriesThatCr3DoesNotTell) {
  GuestBuilder guest("6.12");
  guest.memory_encryption(1ULL << 47);
  const MemoryImage image = guest.build();
  EXPECT_EQ(find_kernels(image, Search::memory)->kernels.size(), 1U);
}

// Without KASLR a kernel lies where the one before lay.
TEST_F(Proof, AKernelThatHasNoVmcoreinfoYetIsNotThatOfTheBootBefore) {
  poke("vmcoreinfo_data", 0);
  expect_doubted(found(), "or none yet");
  poke("vmcoreinfo_data", 0xffff'f000'0000'0000);  // mapped no more
  expect_doubted(found(), "or none yet");
}

TEST_F(Proof, ACopyThatTheCaptureKernelHasOverwrittenDisprovesNothing) {
  constexpr PhysAddr kCopy{0x380'0000};
  poke("vmcoreinfo_data", guest_.page_offset().value + kCopy.value);
  EXPECT_EQ(found().kernels.size(), 1U);
  memory().write(kCopy, testing::page_pattern({7}));
  EXPECT_EQ(found().kernels.size(), 1U);
}

TEST_F(Proof, TheVmcoreinfoOfTheBootBeforeGivesWay) {
  constexpr PhysAddr kNew{0x380'0000};
  std::string text = guest_.vmcoreinfo_text();
  text.replace(text.find("NUMBER(NR_FREE_PAGES)=0"), 23, "NUMBER(NR_FREE_PAGES)=1");
  memory().write(kNew, std::as_bytes(std::span(text)));
  poke("vmcoreinfo_data", guest_.page_offset().value + kNew.value);
  const FoundKernels now = found();
  ASSERT_EQ(now.kernels.size(), 1U);
  EXPECT_EQ(now.kernels[0].info().text(), text);
  EXPECT_EQ(now.kernels[0].info_source(), InfoSource::registers);
  EXPECT_THAT(all_text(now), HasSubstr("not the running one"));
}

// The others stand still in the kernel that hands over.
TEST_F(Proof, AKernelThatHasBegunAKexecIsDoubtedOnceAnotherRuns) {
  write_identity(memory());
  image_.cpus = {cpu_of(guest_, 0), cpu_of(guest_, 1)};
  poke("kexec_in_progress", 1);
  EXPECT_EQ(found().kernels.size(), 1U);
  image_.cpus[0] = cpu_in_identity();
  expect_doubted(found(), "vCPU 0 runs something else");
  poke("kexec_in_progress", 0);
  EXPECT_EQ(found().kernels.size(), 1U);
}

// CR3 is an address in the memory of the nested guest.
TEST_F(Proof, ACpuInANestedGuestChangesNothing) {
  image_.cpus = {cpu_of(guest_, 0), cpu_in_identity(1)};
  poke("kexec_in_progress", 1);
  EXPECT_EQ(found().kernels.size(), 1U);
}

// Another kernel runs, and the device's note is still of the one before.
TEST(Kexeced, KernelIsFoundAsItself) {
  GuestBuilder first("6.1");
  MemoryImage image = first.build();
  GuestBuilder second("6.12");
  second.kaslr(8ULL << 20, 16LL << 20, {0xffff'9999'4000'0000});
  const MemoryImage now = second.build();
  testing::copy_memory(*now.memory, {{40ULL << 20}, 24ULL << 20}, memory_of(image));
  image.cpus = {cpu_of(second)};
  const FoundKernels found = *find_kernels(image, Search::registers);
  ASSERT_EQ(found.kernels.size(), 1U);
  EXPECT_EQ(found.kernels[0].info().text(), second.vmcoreinfo_text());
  ASSERT_EQ(found.doubted.size(), 1U);
  EXPECT_THAT(all_text(found), HasSubstr("the VMCOREINFO note describes kernel 6.1"));
}

TEST_F(Proof, WhatWasFoundAMomentAgoIsDroppedWhereItIsNotProven) {
  MemoryImage live = GuestBuilder("6.12").without_note().cpus({}).build();
  const FoundKernels before = *find_kernels(live, Search::first);
  ASSERT_EQ(before.kernels.size(), 1U);
  GuestBuilder guest("6.12");
  guest.without_note();
  MemoryImage image = guest.build();
  EXPECT_EQ(find_kernels(image, Search::registers, &before)->kernels.size(), 1U);
  image.cpus[0].cr0 = 0x6000'0010;
  expect_doubted(*find_kernels(image, Search::memory, &before), "no vCPU uses page tables");
}

TEST(ProvenHint, LeadsToTheKernelThatRunsAndToNoOther) {
  GuestBuilder guest("6.12");
  guest.without_note().vmcoreinfo("BUILD-ID", std::string(40, 'a'));
  MemoryImage image = guest.build();
  std::vector<CpuState> cpus = std::move(image.cpus);
  image.cpus.clear();
  const auto place = place_of(*find_kernels(image, Search::memory));
  ASSERT_TRUE(place);
  image.cpus = cpus;
  image.cpus[0].cr3 = 0x1000;
  expect_doubted(*find_kernels(image, Search::registers, nullptr, place), "no vCPU's page tables");
}

std::vector<std::uint64_t> used_by(const MemoryImage& image) {
  std::vector<std::uint64_t> pages;
  for (const Pfn page : pages_in_use(image)) {
    pages.push_back(page.value);
  }
  return pages;
}

TEST_F(Proof, PagesInUseAreCodeStackAndTheTablesThatLeadThere) {
  image_.cpus = {cpu_of(guest_), cpu_of(guest_)};
  const auto used = used_by(image_);
  EXPECT_THAT(used, Contains(guest_.root().value / 4096));
  EXPECT_THAT(used, Contains(guest_.physical(guest_.symbol("_stext")).value / 4096));
  EXPECT_THAT(used, Contains(0x600U));
  EXPECT_EQ(used.size(), 1U + 2U + 2U + 1U + 1U);  // top, two to the code, two to the stack
}

TEST_F(Proof, PagesOfProcessesAreNotInUse) {
  write_identity(memory());
  image_.cpus = {cpu_in_identity()};
  EXPECT_THAT(used_by(image_), ElementsAre(0x200, 0x201, 0x300, 0x302));
  image_.cpus[0].cs.selector = 0x33;
  EXPECT_THAT(used_by(image_), ElementsAre(0x200, 0x201));
  // An entry from user mode that has not changed stacks yet.
  image_.cpus = {cpu_of(guest_)};
  image_.cpus[0].rsp = 0x7fff'0000'0000;
  EXPECT_EQ(used_by(image_).size(), 4U);
  // In a nested guest, or not started.
  image_.cpus[0].cr3 = 0x10'0000;
  EXPECT_THAT(used_by(image_), IsEmpty());
}

}  // namespace
}  // namespace vmcore::kernel
