// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/maps.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include "src/acquire/process/guest_process.h"

namespace vmcore::acquire {
namespace {

// What QEMU 7.2 has, shortened: a heap, RAM of each kind, a guard page, a library, a stack.
constexpr std::string_view kMaps =
    "55d0a6a00000-55d0a6c00000 rw-p 00000000 00:00 0                          [heap]\n"
    "7f0000000000-7f0040000000 rw-s 00001000 00:01 2057                       /memfd:ram "
    "(deleted)\n"
    "7f0040000000-7f0060000000 rw-p 00000000 00:00 0 \n"
    "7f0060000000-7f0060001000 ---p 00000000 00:00 0 \n"
    "7f0070000000-7f0080000000 rw-p 00000000 00:00 0                          [anon:ram]\n"
    "7f0080000000-7f0090000000 rw-p 00200000 fd:11 77                         /ram file\n"
    "7f0090000000-7f00a0000000 rw-p 10200000 fd:11 77                         /ram file\n"
    "7f00b0000000-7f00b0100000 r-xp 00000000 fd:00 99                         /lib/libc.so.6\n"
    "7ffc00000000-7ffc00100000 rw-p 00000000 00:00 0                          [stack]\n";

std::vector<Mapping> mappings() {
  auto parsed = parse_maps(kMaps);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed.value_or(std::vector<Mapping>());
}

TEST(ParseMaps, TakesEveryPartOfALine) {
  const auto all = mappings();
  ASSERT_EQ(all.size(), 9U);
  EXPECT_EQ(all[1], (Mapping{.begin = 0x7f0000000000,
                             .end = 0x7f0040000000,
                             .readable = true,
                             .writable = true,
                             .executable = false,
                             .shared = true,
                             .offset = 0x1000,
                             .device = makedev(0, 1),
                             .inode = 2057,
                             .path = "/memfd:ram (deleted)"}));
  EXPECT_EQ(all[2].path, "");
  EXPECT_EQ(all[5].device, makedev(0xfd, 0x11));
  EXPECT_EQ(all[5].path, "/ram file");
}

TEST(ParseMaps, RefusesWhatIsNoMapping) {
  for (const char* text :
       {"x", "1000-2000\n", "2000-1000 rw-p 0 0:0 0\n", "1000-2000 rw-p 0 00 0\n",
        "1000-2000 rw-p zz 00:00 0\n", "1000-2000 rw-p 0 00:00 \n", "-2000 rw-p 0 00:00 0\n",
        "3000-4000 rw-p 0 00:00 0\n1000-2000 rw-p 0 00:00 0\n",
        "1000-20000000000000000 rw-p 0 00:00 0\n"}) {
    const auto parsed = parse_maps(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Errc::malformed);
  }
  EXPECT_TRUE(parse_maps("")->empty());
}

TEST(Mapping, TellsWhatMayBeRam) {
  const auto all = mappings();
  std::string kinds;
  for (const Mapping& mapping : all) {
    kinds += mapping.may_be_ram() ? '+' : '-';
  }
  EXPECT_EQ(kinds, "-++-+++--");
}

Result<std::vector<Piece>> pieces(std::uint64_t address, std::uint64_t size) {
  const RamBlock block{{{0x100000}, size}, address};
  return pieces_of({&block, 1}, mappings());
}

TEST(PiecesOf, SharedMemoryIsInItsFile) {
  const auto found = pieces(0x7f0000002000, 0x3000);
  ASSERT_TRUE(found);
  EXPECT_EQ(
      *found,
      (std::vector<Piece>{{.range = {{0x100000}, 0x3000}, .address = {}, .file = {{1, 0x3000}}}}));
}

TEST(PiecesOf, AnonymousMemoryIsInTheProcess) {
  const auto found = pieces(0x7f0040000000, 0x20000000);
  ASSERT_TRUE(found);
  EXPECT_EQ(*found,
            (std::vector<Piece>{
                {.range = {{0x100000}, 0x20000000}, .address = 0x7f0040000000, .file = {}}}));
}

TEST(PiecesOf, APrivateFileIsInBoth) {
  const auto found = pieces(0x7f008ffff000, 0x2000);
  ASSERT_TRUE(found);
  EXPECT_EQ(
      *found,
      (std::vector<Piece>{
          {.range = {{0x100000}, 0x1000}, .address = 0x7f008ffff000, .file = {{5, 0x101ff000}}},
          {.range = {{0x101000}, 0x1000}, .address = 0x7f0090000000, .file = {{6, 0x10200000}}}}));
}

TEST(PiecesOf, RefusesWhatIsNotRam) {
  for (const auto& [address, size] : {std::pair{0x1000UL, 0x1000UL},
                                      {0x55d0a6a00000UL, 0x1000UL},  // heap
                                      {0x7f005ffff000UL, 0x2000UL},  // into the guard page
                                      {0x7f00b0000000UL, 0x1000UL},  // code
                                      {0x7ffc00000000UL, 0x1000UL},  // stack
                                      {0x7f009ffff000UL, 0x2000UL},  // past the end
                                      {0xfffffffffffff000UL, 0x3000UL}}) {
    const auto found = pieces(address, size);
    ASSERT_FALSE(found) << fmt::format("{:#x}", address);
    EXPECT_EQ(found.error().code, Errc::malformed);
  }
}

TEST(PiecesOf, RefusesBlocksThatOverlap) {
  const std::vector<RamBlock> blocks{{{{0x2000}, 0x2000}, 0x7f0040000000},
                                     {{{0x1000}, 0x2000}, 0x7f0040008000}};
  const auto found = pieces_of(blocks, mappings());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::malformed);
}

}  // namespace
}  // namespace vmcore::acquire
