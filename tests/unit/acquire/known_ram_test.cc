// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/known_ram.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

const std::vector<RamBlock> kBlocks{{{{0}, 0xa0000}, 0x7f00'0000'0000},
                                    {{{1ULL << 32}, 0x8000'0000}, 0x7f00'8000'0000}};

TEST(KnownRam, IsReadAsItWasWritten) {
  const std::vector<RamBlock> read = ram_from_text(text_of_ram(kBlocks));
  ASSERT_EQ(read.size(), kBlocks.size());
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].range, kBlocks[i].range);
    EXPECT_EQ(read[i].address, kBlocks[i].address);
  }
  EXPECT_TRUE(ram_from_text("").empty());
}

TEST(KnownRam, DamagedNotesSayNothing) {
  const std::string whole = text_of_ram(kBlocks);
  EXPECT_TRUE(ram_from_text(whole.substr(0, whole.size() - 1)).empty());
  for (const char* text : {"\n", "0 a0000\n", "0 a0000 7f0000 1\n", "0 a0000 x\n", "-1 1 1\n",
                           "0  a0000 7f00\n", "1000 ffffffffffffffff 0\n"}) {
    EXPECT_TRUE(ram_from_text(whole + text).empty()) << text;
  }
}

}  // namespace
}  // namespace vmcore::acquire
