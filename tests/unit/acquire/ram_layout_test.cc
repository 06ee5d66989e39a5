#include "src/acquire/ram_layout.h"

#include <gtest/gtest.h>

namespace vmcore::acquire {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;
constexpr std::uint64_t kHeap = 0x5600'0000'0000;
constexpr std::uint64_t kRam = 0x7f00'0000'0000;
constexpr std::uint64_t kDimm = 0x7e00'0000'0000;

Mapping anonymous(std::uint64_t begin, std::uint64_t size) {
  return {.begin = begin, .end = begin + size, .readable = true, .writable = true};
}

Mapping part_of_file(std::uint64_t begin, std::uint64_t size, std::uint64_t offset) {
  Mapping mapping = anonymous(begin, size);
  mapping.shared = true;
  mapping.inode = 7;
  mapping.offset = offset;
  return mapping;
}

// "guest address: process address + size", a line each.
std::string text_of(const Result<std::vector<RamBlock>>& placed) {
  if (!placed) {
    return std::string(errc_name(placed.error().code));
  }
  std::string text;
  for (const RamBlock& block : *placed) {
    text += fmt::format("{:#x}: {:#x} + {:#x}\n", block.range.begin.value, block.address,
                        block.range.size);
  }
  return text;
}

// What QEMU 7.2's dump of a guest with 512 MiB lists: RAM with ROM in it, VGA, firmware.
const std::vector<PhysRange> kSmall{{{0}, 0xc3000},           {{0xc3000}, 0x25000},
                                    {{0xe8000}, 0x8000},      {{0xf0000}, 0x10000},
                                    {{0x100000}, 511 * kMiB}, {{0xfd000000}, 16 * kMiB},
                                    {{0xfffc0000}, 0x40000}};

TEST(PlaceBySize, TakesTheMappingOfTheWholeSize) {
  const std::vector<Mapping> mappings{anonymous(kHeap, 21 * kMiB), anonymous(kRam, 512 * kMiB),
                                      anonymous(kRam + kGiB, 16 * kMiB)};
  EXPECT_EQ(text_of(place_by_size(kSmall, mappings)),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ff00000\n");
}

TEST(PlaceBySize, HighMemoryFollowsLowMemory) {
  const std::vector<PhysRange> blocks{
      {{0}, 0xa0000}, {{0xc0000}, 2 * kGiB - 0xc0000}, {{4 * kGiB}, 3 * kGiB}, {{8 * kGiB}, kGiB}};
  const std::vector<Mapping> mappings{anonymous(kDimm, kGiB), part_of_file(kRam, 2 * kGiB, 0),
                                      part_of_file(kRam + 2 * kGiB, 3 * kGiB, 2 * kGiB)};
  EXPECT_EQ(text_of(place_by_size(blocks, mappings)),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x7ff00000\n"
            "0x100000000: 0x7f0080000000 + 0xc0000000\n"
            "0x200000000: 0x7e0000000000 + 0x40000000\n");
}

// With SMM the end of low memory is not in QEMU's dump.
TEST(PlaceBySize, TsegHidesTheEndOfLowMemory) {
  const std::vector<PhysRange> blocks{{{0}, 2 * kGiB - 16 * kMiB}, {{4 * kGiB}, kGiB}};
  const std::vector<Mapping> mappings{anonymous(kRam, 3 * kGiB)};
  EXPECT_EQ(text_of(place_by_size(blocks, mappings)),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x7ef00000\n"
            "0x100000000: 0x7f0080000000 + 0x40000000\n");
}

// Nodes of 1 and 2 GiB: what ends below 1 GiB and what begins at 4 GiB are together as large as the
// second node.
TEST(PlaceBySize, RefusesNodesWhoseSizesFitByChance) {
  const std::vector<PhysRange> blocks{{{0}, kGiB}, {{kGiB}, kGiB}, {{4 * kGiB}, kGiB}};
  const std::vector<Mapping> mappings{anonymous(kDimm, kGiB), anonymous(kRam, 2 * kGiB)};
  EXPECT_EQ(text_of(place_by_size(blocks, mappings)), "unsupported");
}

TEST(PlaceBySize, RefusesToGuess) {
  const Mapping right = anonymous(kRam, 512 * kMiB);
  Mapping code = right;
  code.executable = true;
  Mapping read_only = right;
  read_only.writable = false;
  for (const std::vector<Mapping>& mappings :
       {std::vector<Mapping>{},
        {code},
        {read_only},
        {anonymous(kRam, 600 * kMiB)},
        {anonymous(kDimm, 512 * kMiB), right},                                       // two of them
        {anonymous(kRam, 256 * kMiB), anonymous(kRam + 256 * kMiB, 256 * kMiB)}}) {  // NUMA nodes
    EXPECT_EQ(text_of(place_by_size(kSmall, mappings)), "unsupported");
  }
  EXPECT_EQ(text_of(place_by_size({}, std::vector{right})), "unsupported");
}

TEST(PcMemory, IsCutAtThePciHole) {
  const auto blocks = [](std::string_view machine, std::uint64_t size) {
    const auto found = pc_memory(machine, size);
    return found ? fmt::format("{} blocks, {} MiB low", found->size(),
                               found->at(1).end().value / kMiB)
                 : std::string(errc_name(found.error().code));
  };
  EXPECT_EQ(blocks("pc-q35-7.2", 512 * kMiB), "2 blocks, 512 MiB low");
  EXPECT_EQ(blocks("pc-q35-7.2-machine", 2815 * kMiB), "2 blocks, 2815 MiB low");
  EXPECT_EQ(blocks("pc-q35-7.2", 2816 * kMiB), "3 blocks, 2048 MiB low");
  EXPECT_EQ(blocks("pc-i440fx-7.2", 3583 * kMiB), "2 blocks, 3583 MiB low");
  EXPECT_EQ(blocks("pc-i440fx-7.2", 3584 * kMiB), "3 blocks, 3072 MiB low");
  EXPECT_EQ(blocks("microvm", 512 * kMiB), "unsupported");
  EXPECT_EQ(blocks("pc-q35-7.2", kMiB), "unsupported");
  EXPECT_EQ(blocks("pc-q35-7.2", ~0ULL), "unsupported");
}

}  // namespace
}  // namespace vmcore::acquire
