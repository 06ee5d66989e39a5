// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/known_ram.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

const std::vector<RamBlock> kBlocks{{{{0}, 0xa0000}, 0x7f00'0000'0000},
                                    {{{1ULL << 32}, 0x8000'0000}, 0x7f00'8000'0000}};

TEST(KnownRam, IsReadAsItWasWritten) {
  EXPECT_EQ(ram_from_text(text_of_ram(kBlocks)), kBlocks);
  EXPECT_TRUE(ram_from_text("").empty());
}

TEST(KnownRam, DamagedNotesSayNothing) {
  const std::string whole = text_of_ram(kBlocks);
  EXPECT_TRUE(ram_from_text(whole.substr(0, whole.size() - 1)).empty());
  for (const char* text : {"\n", "0 a0000\n", "0 a0000 7f0000 1\n", "0 a0000 x\n", "-1 1 1\n",
                           "0  a0000 7f00\n", "1000 ffffffffffffffff 0\n", "0 a0000 7f00 \n"}) {
    EXPECT_TRUE(ram_from_text(whole + text).empty()) << text;
  }
}

}  // namespace
}  // namespace vmcore::acquire
