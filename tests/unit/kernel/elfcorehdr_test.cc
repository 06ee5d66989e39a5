// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/elfcorehdr.h"

#include <gtest/gtest.h>

#include "tests/builders/two_kernels.h"

namespace vmcore::kernel {
namespace {

using testing::core_header;
using testing::core_load;
using testing::core_note;
using testing::SparseMemory;

constexpr std::uint64_t kMiB = 1ULL << 20;
constexpr PhysAddr kPlace{32 * kMiB};

class Elfcorehdr : public ::testing::Test {
 protected:
  Result<CoreHeader> read(const std::vector<Elf64_Phdr>& headers) {
    memory_.write(kPlace, core_header(headers));
    return read_elfcorehdr(memory_, kPlace);
  }
  Errc refused(const std::vector<Elf64_Phdr>& headers) {
    const auto header = read(headers);
    EXPECT_FALSE(header);
    return header ? Errc::invalid : header.error().code;
  }

  SparseMemory memory_{{{{0}, 64 * kMiB}}};
  const Elf64_Phdr note_ = core_note({kMiB}, 368);
  const Elf64_Phdr load_ = core_load({{kMiB}, 31 * kMiB});
};

TEST_F(Elfcorehdr, TellsNotesAndMemory) {
  const auto header = read({note_, core_note({2 * kMiB}, 4132), load_});
  ASSERT_TRUE(header) << header.error().message;
  EXPECT_EQ(header->place, kPlace);
  EXPECT_EQ(header->notes, (std::vector<PhysRange>{{{kMiB}, 368}, {{2 * kMiB}, 4132}}));
  EXPECT_EQ(header->loads, (std::vector<CoreLoad>{{{{kMiB}, 31 * kMiB}, {kMiB}}}));
}

TEST_F(Elfcorehdr, TheKernelImageIsAPartOfItsRam) {
  const auto header = read({note_, core_load({{16 * kMiB}, kMiB}), load_,
                            core_load({{48 * kMiB}, kMiB}), core_load({{49 * kMiB}, kMiB})});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->loads, (std::vector<CoreLoad>{{{{kMiB}, 31 * kMiB}, {kMiB}},
                                                  {{{48 * kMiB}, 2 * kMiB}, {48 * kMiB}}}));
}

TEST_F(Elfcorehdr, MemoryIsInWholePages) {
  const auto header = read({note_, core_load({{0x1000}, 0x9ec00}), core_load({{0x100010}, 0x10})});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->loads, (std::vector<CoreLoad>{{{{0x1000}, 0x9f000}, {0x1000}},
                                                  {{{0x100000}, 0x1000}, {0x100000}}}));
}

TEST_F(Elfcorehdr, WhatWasSavedLiesElsewhere) {
  const auto header = read({note_, core_load({{0}, 640 << 10}, PhysAddr{40 * kMiB}), load_});
  ASSERT_TRUE(header);
  EXPECT_EQ(header->loads.front(), (CoreLoad{{{0}, 640 << 10}, {40 * kMiB}}));
}

TEST_F(Elfcorehdr, WhatIsNoHeaderIsNotRecognised) {
  EXPECT_EQ(read_elfcorehdr(memory_, kPlace).error().code, Errc::not_recognised);
  EXPECT_EQ(read_elfcorehdr(memory_, {kMaxPhysAddr}).error().code, Errc::not_recognised);
  EXPECT_EQ(read_elfcorehdr(memory_, {64 * kMiB - 8}).error().code, Errc::not_recognised);
}

TEST_F(Elfcorehdr, NonsenseIsRefused) {
  const Elf64_Phdr other{PT_DYNAMIC, 0, 0, 0, 0, 1, 1, 0};
  Elf64_Phdr tail = load_;
  tail.p_memsz += 4096;
  // What a capture kernel makes for its own /proc/vmcore: notes at an offset in that file.
  Elf64_Phdr merged = note_;
  merged.p_offset = 0x1000;
  for (const auto& headers : std::vector<std::vector<Elf64_Phdr>>{
           {},
           {note_},
           {load_},
           {note_, load_, other},
           {note_, tail},
           {merged, load_},
           {core_note({kMiB}, 1ULL << 40), load_},
           {core_note({kMaxPhysAddr - 8}, 368), load_},
           {note_, core_load({{kMaxPhysAddr - kMiB}, 2 * kMiB})},
           {note_, core_load({{~0ULL - 100}, 1000})},
           {note_, core_load({{0}, 0})},
           {note_, core_load({{0}, 2 * kMiB}, PhysAddr{40 * kMiB})},  // too much to be saved
           {note_, core_load({{0}, 640 << 10}, PhysAddr{40 * kMiB + 1})},
           {note_, core_load({{0x800}, 0x800}, PhysAddr{0x100})},
       }) {
    EXPECT_EQ(refused(headers), Errc::malformed);
  }
}

// A copy of it that the crashed kernel forgot somewhere.
TEST_F(Elfcorehdr, AHeaderInTheMemoryThatItDescribesIsNone) {
  EXPECT_EQ(refused({note_, core_load({{kMiB}, 40 * kMiB})}), Errc::malformed);
}

TEST_F(Elfcorehdr, MoreHeadersThanMemoryHoldsAreUnreadable) {
  std::vector<std::byte> many = core_header({note_, load_});
  many[offsetof(Elf64_Ehdr, e_phnum)] = std::byte{0xff};
  many[offsetof(Elf64_Ehdr, e_phnum) + 1] = std::byte{0xff};
  const PhysAddr end{64 * kMiB - 4096};
  memory_.write(end, many);
  EXPECT_EQ(read_elfcorehdr(memory_, end).error().code, Errc::unreadable);
}

TEST_F(Elfcorehdr, IsFoundByLookingAtPages) {
  const auto header = core_header({note_, load_});
  memory_.write({40 * kMiB}, header);
  memory_.write({50 * kMiB}, core_header({load_}));  // none
  memory_.write({60 * kMiB}, header);
  memory_.exclude({40 * kMiB / 4096 - 1});
  const auto found = search_elfcorehdr(memory_, {{33 * kMiB}, 20 * kMiB});
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().place, PhysAddr{40 * kMiB});
}

TEST_F(Elfcorehdr, AMemoryFullOfThemEnds) {
  const auto header = core_header({note_, load_});
  for (std::uint64_t at = 40 * kMiB; at < 41 * kMiB; at += 4096) {
    memory_.write({at}, header);
  }
  EXPECT_EQ(search_elfcorehdr(memory_, {{0}, kMaxPhysAddr})->size(), kMaxCoreHeaders);
}

std::optional<PhysAddr> told(std::string_view line) {
  testing::GuestBuilder guest("6.12");
  guest.command_line(line);
  const MemoryImage image = guest.build();
  return elfcorehdr_from_cmdline(find_kernels(image, Search::registers)->kernels.at(0));
}

TEST(ToldElfcorehdr, AsTheKernelReadsIt) {
  EXPECT_EQ(told("root=/dev/vda1"), std::nullopt);
  EXPECT_EQ(told("elfcorehdr=0x35000000 quiet"), PhysAddr{0x35000000});
  EXPECT_EQ(told("quiet elfcorehdr=868352K"), PhysAddr{0x35000000});
  EXPECT_EQ(told("elfcorehdr=1M@0x35000000"), PhysAddr{0x35000000});
  EXPECT_EQ(told("elfcorehdr=4194304G"), PhysAddr{kMaxPhysAddr});
  EXPECT_EQ(told("elfcorehdr=nonsense"), PhysAddr{0});
}

}  // namespace
}  // namespace vmcore::kernel
