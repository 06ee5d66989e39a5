// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/ram_layout.h"

#include <gtest/gtest.h>

#include <algorithm>

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

// "guest address: offset + size", a line each, and what the mapping has in all.
std::string text_of(const Result<std::vector<RamUnit>>& units) {
  if (!units) {
    return std::string(errc_name(units.error().code));
  }
  std::string text;
  for (const RamUnit& unit : *units) {
    for (const Stretch& stretch : unit.stretches) {
      text += fmt::format("{:#x}: {:#x} + {:#x}\n", stretch.range.begin.value, stretch.offset,
                          stretch.range.size);
    }
    text += fmt::format("of {} MiB\n", unit.size / kMiB);
  }
  return text;
}

TEST(RamUnits, AreCutAtThePciHole) {
  const auto low = [](std::string machine, std::uint64_t size,
                      std::optional<std::uint64_t> most = {}) {
    const auto units = ram_units({.machine = std::move(machine), .main = size, .most_low = most});
    return units ? fmt::format("{} stretches, {} MiB low", units->front().stretches.size(),
                               units->front().stretches.at(1).range.end().value / kMiB)
                 : std::string(errc_name(units.error().code));
  };
  EXPECT_EQ(low("pc-q35-7.2", 512 * kMiB), "2 stretches, 512 MiB low");
  EXPECT_EQ(low("pc-q35-7.2", 2815 * kMiB), "2 stretches, 2815 MiB low");
  EXPECT_EQ(low("pc-q35-7.2", 2816 * kMiB), "3 stretches, 2048 MiB low");
  EXPECT_EQ(low("pc-i440fx-7.2", 3583 * kMiB), "2 stretches, 3583 MiB low");
  EXPECT_EQ(low("pc-i440fx-7.2", 3584 * kMiB), "3 stretches, 3072 MiB low");
  EXPECT_EQ(low("isapc", 3072 * kMiB), "2 stretches, 3072 MiB low");
  EXPECT_EQ(low("microvm", 3072 * kMiB), "2 stretches, 3072 MiB low");
  EXPECT_EQ(low("microvm", 5120 * kMiB), "3 stretches, 3072 MiB low");
  // max-ram-below-4g
  EXPECT_EQ(low("pc-q35-7.2", 5120 * kMiB, kGiB), "3 stretches, 1024 MiB low");
  EXPECT_EQ(low("pc-q35-7.2", 5120 * kMiB, 3 * kGiB), "3 stretches, 2048 MiB low");
  EXPECT_EQ(low("pc-q35-7.2", 2560 * kMiB, 2 * kGiB), "3 stretches, 2048 MiB low");
  EXPECT_EQ(low("pc-i440fx-7.2", 5120 * kMiB, 2 * kGiB), "3 stretches, 2048 MiB low");
  EXPECT_EQ(low("pc-i440fx-7.2", 5120 * kMiB, 4 * kGiB), "3 stretches, 3072 MiB low");
  EXPECT_EQ(low("pc-i440fx-7.2", 3968 * kMiB, 4 * kGiB), "2 stretches, 3968 MiB low");

  EXPECT_EQ(low("virt-7.2", 512 * kMiB), "unsupported");
  EXPECT_EQ(low("pc-q35-7.2", kMiB), "unsupported");
  EXPECT_EQ(low("pc-q35-7.2", ~0ULL), "unsupported");
  EXPECT_EQ(low("pc-q35-7.2", 5120 * kMiB, kMiB), "unsupported");
}

TEST(RamUnits, NodesAndDimmsHaveMappingsOfTheirOwn) {
  EXPECT_EQ(text_of(ram_units({.machine = "pc-q35-7.2",
                               .main = 4 * kGiB,
                               .nodes = {kGiB, 0, 2 * kGiB, kGiB},
                               .plugged = {{{8 * kGiB}, kGiB}}})),
            "0x0: 0x0 + 0xa0000\n"
            "0x100000: 0x100000 + 0x3ff00000\n"
            "of 1024 MiB\n"
            "0x40000000: 0x0 + 0x40000000\n"
            "0x100000000: 0x40000000 + 0x40000000\n"
            "of 2048 MiB\n"
            "0x140000000: 0x0 + 0x40000000\n"
            "of 1024 MiB\n"
            "0x200000000: 0x0 + 0x40000000\n"
            "of 1024 MiB\n");
  for (const std::vector<std::uint64_t>& nodes :
       {std::vector<std::uint64_t>{kGiB, kGiB}, {4 * kGiB, kGiB}, {~0ULL, kGiB}}) {
    EXPECT_EQ(text_of(ram_units({.machine = "pc-q35-7.2", .main = 4 * kGiB, .nodes = nodes})),
              "unsupported");
  }
}

const std::vector<RamUnit> kSmall{
    {.stretches = {{{{0}, 0xa0000}, 0}, {{{kMiB}, 511 * kMiB}, kMiB}}, .size = 512 * kMiB}};
const std::vector<RamUnit> kNodes{{.stretches = {{{{0}, kGiB}, 0}}, .size = kGiB},
                                  {.stretches = {{{{kGiB}, kGiB}, 0}}, .size = kGiB},
                                  {.stretches = {{{{4 * kGiB}, 2 * kGiB}, 0}}, .size = 2 * kGiB}};
const std::vector<Mapping> kThree{anonymous(kDimm, kGiB), anonymous(kRam, kGiB),
                                  anonymous(kRam + 4 * kGiB, 2 * kGiB)};

// Says that just those mappings hold the unit that begins there.
WhichFit says(std::vector<std::pair<std::uint64_t, std::vector<std::uint64_t>>> truth) {
  return [truth](const RamUnit& unit, auto addresses) -> Result<std::vector<std::size_t>> {
    std::vector<std::size_t> fit;
    for (const auto& [begin, right] : truth) {
      for (std::size_t i = 0; i < addresses.size(); ++i) {
        if (begin == unit.stretches.front().range.begin.value &&
            std::ranges::find(right, addresses[i]) != right.end()) {
          fit.push_back(i);
        }
      }
    }
    return fit;
  };
}

Result<std::vector<std::size_t>> says_nothing(const RamUnit&, std::span<const std::uint64_t>) {
  return fail(Errc::denied, "no");
}

TEST(PlaceUnits, TakesTheMappingOfTheSize) {
  const std::vector<Mapping> mappings{anonymous(kHeap, 21 * kMiB), anonymous(kRam, 512 * kMiB),
                                      anonymous(kRam + kGiB, 16 * kMiB)};
  const char* const placed =
      "0x0: 0x7f0000000000 + 0xa0000\n"
      "0x100000: 0x7f0000100000 + 0x1ff00000\n";
  EXPECT_EQ(text_of(place_units(kSmall, mappings, says({{0, {kRam}}}))), placed);
  EXPECT_EQ(text_of(place_units(kSmall, mappings, says_nothing)), placed);
  EXPECT_EQ(text_of(place_units(kSmall, mappings, says({}))), "unsupported");  // it is not
}

TEST(PlaceUnits, JoinsPartsOfAFile) {
  const std::vector<Mapping> mappings{part_of_file(kRam, 128 * kMiB, 0),
                                      part_of_file(kRam + 128 * kMiB, 384 * kMiB, 128 * kMiB)};
  EXPECT_EQ(text_of(place_units(kSmall, mappings, says({{0, {kRam}}}))),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ff00000\n");
}

TEST(PlaceUnits, TakesWhatQemuSays) {
  EXPECT_EQ(
      text_of(place_units(kNodes, kThree,
                          says({{0, {kRam}}, {kGiB, {kDimm}}, {4 * kGiB, {kRam + 4 * kGiB}}}))),
      "0x0: 0x7f0000000000 + 0x40000000\n"
      "0x40000000: 0x7e0000000000 + 0x40000000\n"
      "0x100000000: 0x7f0100000000 + 0x80000000\n");
}

// A node that was never touched fits any mapping that is empty; the other's it is not.
TEST(PlaceUnits, TakesTheOnlyAssignmentThatFits) {
  EXPECT_EQ(text_of(place_units(
                kNodes, kThree,
                says({{0, {kRam}}, {kGiB, {kRam, kDimm}}, {4 * kGiB, {kRam + 4 * kGiB}}}))),
            "0x0: 0x7f0000000000 + 0x40000000\n"
            "0x40000000: 0x7e0000000000 + 0x40000000\n"
            "0x100000000: 0x7f0100000000 + 0x80000000\n");
}

TEST(PlaceUnits, RefusesUnlessExactlyOneFits) {
  const std::vector<std::uint64_t> both{kRam, kDimm};
  const auto with = [](const WhichFit& which) {
    return text_of(place_units(kNodes, kThree, which));
  };
  EXPECT_EQ(with(says({{0, both}, {kGiB, both}, {4 * kGiB, {kRam + 4 * kGiB}}})), "unsupported");
  EXPECT_EQ(with(says({{0, {kRam}}, {kGiB, {kRam}}, {4 * kGiB, {kRam + 4 * kGiB}}})),
            "unsupported");
  EXPECT_EQ(with(says({{0, {kRam}}, {4 * kGiB, {kRam + 4 * kGiB}}})), "unsupported");
  EXPECT_EQ(with(says_nothing), "unsupported");
}

TEST(PlaceUnits, RefusesWhatCannotBeRam) {
  const Mapping right = anonymous(kRam, 512 * kMiB);
  Mapping code = right;
  code.executable = true;
  Mapping read_only = right;
  read_only.writable = false;
  for (const std::vector<Mapping>& mappings :
       {std::vector<Mapping>{}, {code}, {read_only}, {anonymous(kRam, 600 * kMiB)}}) {
    EXPECT_EQ(text_of(place_units(kSmall, mappings, says({{0, {kRam}}}))), "unsupported");
  }
}

// What QEMU 7.2's dump of a guest with 512 MiB lists: RAM with ROM in it, VGA, firmware.
const std::vector<PhysRange> kSmallDump{{{0}, 0xc3000},           {{0xc3000}, 0x25000},
                                        {{0xe8000}, 0x8000},      {{0xf0000}, 0x10000},
                                        {{0x100000}, 511 * kMiB}, {{0xfd000000}, 16 * kMiB},
                                        {{0xfffc0000}, 0x40000}};
const std::vector<RamBlock> kSmallKnown{{{{0}, 0xa0000}, kRam},
                                        {{{kMiB}, 511 * kMiB}, kRam + kMiB}};

TEST(KnownParts, LeavesOutFirmwareAndDevices) {
  EXPECT_EQ(text_of(known_parts(kSmallDump, kSmallKnown, {})),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ff00000\n");
}

TEST(KnownParts, TsegHidesTheEndOfLowMemory) {
  const std::vector<PhysRange> dump{{{0}, 512 * kMiB - 16 * kMiB}};
  EXPECT_EQ(text_of(known_parts(dump, kSmallKnown, {})),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ef00000\n");
  EXPECT_EQ(without_tseg({{kMiB}, 511 * kMiB}).size, 495 * kMiB);
  EXPECT_EQ(without_tseg({{0}, 0xa0000}).size, 0xa0000U);
  EXPECT_EQ(without_tseg({{4 * kGiB}, kGiB}).size, kGiB);
}

TEST(KnownParts, RefusesAnotherMainMemory) {
  EXPECT_EQ(text_of(known_parts(std::vector<PhysRange>{{{0}, 0xa0000}, {{kMiB}, 1023 * kMiB}},
                                kSmallKnown, {})),
            "unsupported");
  EXPECT_EQ(text_of(known_parts(std::vector<PhysRange>{{{0}, 0xa0000}, {{kMiB}, 255 * kMiB}},
                                kSmallKnown, {})),
            "unsupported");
  EXPECT_EQ(text_of(known_parts({}, kSmallKnown, {})), "unsupported");
}

TEST(KnownParts, AboveItTakesTheOnlyMappingOfTheSize) {
  std::vector<PhysRange> dump = kSmallDump;
  dump.push_back({{8 * kGiB}, kGiB});
  const std::vector<Mapping> one{anonymous(kDimm, kGiB)};
  const std::vector<Mapping> two{anonymous(kDimm, kGiB), anonymous(kDimm + kGiB, kGiB)};
  EXPECT_EQ(text_of(known_parts(dump, kSmallKnown, one)),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ff00000\n"
            "0x200000000: 0x7e0000000000 + 0x40000000\n");
  EXPECT_EQ(text_of(known_parts(dump, kSmallKnown, two)), "unsupported");
  EXPECT_EQ(text_of(known_parts(dump, kSmallKnown, {})), "unsupported");
}

}  // namespace
}  // namespace vmcore::acquire
