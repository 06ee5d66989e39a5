// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/memory_map.h"

#include <gtest/gtest.h>

#include <array>

namespace vmcore::acquire {
namespace {

using sandbox::BlockPlace;

// QEMU 7.2, q35, a DIMM, KVM; shortened.
constexpr std::string_view kMap =
    "FlatView #0\r\n"
    " AS \"I/O\", root: io\r\n"
    " Root memory region: io\r\n"
    "  0000000000000000-0000000000000007 (prio 0, ram): dma-chan\r\n"
    "\r\n"
    "FlatView #1\r\n"
    " AS \"memory\", root: system\r\n"
    " AS \"cpu-memory-0\", root: system\r\n"
    " Root memory region: system\r\n"
    "  0000000000000000-00000000000c2fff (prio 0, ram): ram0 KVM\r\n"
    "  00000000000c3000-00000000000fffff (prio 0, rom): ram0 @00000000000c3000 KVM\r\n"
    "  0000000000100000-000000001fffffff (prio 0, ram): /objects/ram0 @0000000000100000\r\n"
    "  00000000b0000000-00000000bfffffff (prio 0, i/o): pcie-mmcfg-mmio\r\n"
    "  00000000c0000000-00000000c00fffff (prio 1, ramd): 0000:05:00.0 BAR 0\r\n"
    "  00000000fffc0000-00000000ffffffff (prio 0, romd): system.flash0\r\n"
    "  0000000100000000-0000000100000fff (prio 0, ram): a name @ sea\r\n"
    "\r\n"
    "FlatView #2\r\n"
    " AS \"smm\", root: smm\r\n"
    "  0000000000000000-00000000000fffff (prio 0, ram): smram\r\n";

TEST(MemoryMap, TellsWhereAGuestSeesBlocks) {
  const auto places = parse_memory_map(kMap);
  ASSERT_TRUE(places) << places.error().message;
  const std::vector<BlockPlace> expected{
      {{{0}, 0xc3000}, "ram0", 0},
      {{{0xc3000}, 0x3d000}, "ram0", 0xc3000},
      {{{0x100000}, 0x1ff00000}, "/objects/ram0", 0x100000},
      {{{0xfffc0000}, 0x40000}, "system.flash0", 0},
      {{{0x100000000}, 0x1000}, "a name @ sea", 0},
  };
  EXPECT_EQ(*places, expected);
}

TEST(MemoryMap, IsRefusedInAnotherForm) {
  EXPECT_EQ(parse_memory_map("").error().code, Errc::unsupported);
  EXPECT_EQ(parse_memory_map("memory-region: system\n  0-1 ram\n").error().code, Errc::unsupported);
  // Ranges that cannot be.
  EXPECT_FALSE(
      parse_memory_map("FlatView #0\n AS \"memory\", root: system\n"
                       "  0000000000001000-0000000000000fff (prio 0, ram): a\n"
                       "  0000000000000000-ffffffffffffffff (prio 0, ram): b\n"
                       "  00000000000000g0-0000000000000fff (prio 0, ram): c\n"));
}

// QEMU 7.2, and 8.2 with two columns more.
TEST(BlockTotal, IsTheSumOfAll) {
  EXPECT_EQ(*parse_block_total(
                "              Block Name    PSize              Offset               Used          "
                "    Total\r\n"
                "                    ram0    4 KiB  0x0000000000000000 0x0000000020000000 "
                "0x0000000020000000\r\n"
                "    /rom@etc/acpi/tables    4 KiB  0x0000000020080000 0x0000000000020000 "
                "0x0000000000200000\r\n"),
            0x20200000U);
  EXPECT_EQ(*parse_block_total("  huge    2 MiB  0x0000000000000000 0x0000000000000000 "
                               "0x0000000040000000 0x00007f1240000000  rw\n"),
            0x40000000U);
}

TEST(BlockTotal, IsRefusedInAnotherForm) {
  EXPECT_FALSE(parse_block_total(""));
  EXPECT_FALSE(parse_block_total("ram0    4 KiB  0x0000000000000000 0x0000000000000000\n"));
  EXPECT_FALSE(parse_block_total("ram0    4 KiB  0x0 0x0 0xffffffffffffffff\n"));
}

TEST(Words, AreRefusedInAnotherForm) {
  std::array<std::byte, 16> bytes{};
  const auto parsed = [&](std::string_view text) {
    return parse_words(text, {0x1000}, bytes).has_value();
  };
  EXPECT_TRUE(parsed("0000000000001000: 0x0000000000000001 0x0000000000000002\r\n"));
  EXPECT_TRUE(parsed("0000000000001000: 0x1\n0000000000001008: 0x2\n"));
  EXPECT_FALSE(parsed(""));
  EXPECT_FALSE(parsed("0000000000001000: 0x0000000000000001\r\n"));                   // one of two
  EXPECT_FALSE(parsed("0000000000002000: 0x0000000000000001 0x0000000000000002\n"));  // elsewhere
  EXPECT_FALSE(parsed("0000000000001000: 0x0000000000000001 0x\n"));
  EXPECT_FALSE(parsed("0000000000001000: 0x1 0x10000000000000000\n"));
  EXPECT_FALSE(parsed("0000000000001000: 1 2\n"));
  EXPECT_FALSE(parsed("no memory\n"));
}

}  // namespace
}  // namespace vmcore::acquire
