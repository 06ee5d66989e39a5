// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace vmcore {
namespace {

// Data in [0x1000, 0x3000), excluded up to 0x4000, zero in [0x8000, 0x9000).
class Sample final : public PhysicalMemory {
 public:
  Extent extent(PhysAddr address) const override {
    static constexpr std::array kExtents{
        Extent{{{0}, 0x1000}, Presence::absent},
        Extent{{{0x1000}, 0x2000}, Presence::data},
        Extent{{{0x3000}, 0x1000}, Presence::excluded},
        Extent{{{0x4000}, 0x4000}, Presence::absent},
        Extent{{{0x8000}, 0x1000}, Presence::zero},
        Extent{{{0x9000}, kMaxPhysAddr - 0x9000}, Presence::absent},
    };
    return *std::ranges::find_if(
        kExtents, [&](const Extent& extent) { return extent.range.contains(address); });
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    const std::size_t good =
        address.value < 0x1000 ? 0 : std::min<std::size_t>(out.size(), 0x3000 - address.value);
    if (good == out.size()) {
      return ReadExtent{good, {}};
    }
    return ReadExtent{good, PhysAddr{0x3000}};
  }
};

TEST(ReadExactly, NamesTheFirstBadPage) {
  const Sample memory;
  std::array<std::byte, 0x1000> out;
  EXPECT_TRUE(read_exactly(memory, {0x2000}, out));
  const auto bad = read_exactly(memory, {0x2800}, out);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::unreadable);
  EXPECT_EQ(bad.error().message, "guest-physical address 0x3000 is excluded from this dump");
}

// Memory of which only parts can be had, in runs that take long to walk.
class Endless final : public PhysicalMemory {
 public:
  Extent extent(PhysAddr address) const override {
    ADD_FAILURE() << "the run was walked";
    return {{address, 1}, Presence::excluded};
  }
  Presence presence(PhysAddr) const override { return Presence::excluded; }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte>) const override {
    return ReadExtent{0, address};
  }
};

TEST(ReadExactly, WalksNoRunToNameABadPage) {
  std::array<std::byte, 16> out;
  const auto bad = read_exactly(Endless(), {0x2000}, out);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "guest-physical address 0x2000 is excluded from this dump");
}

TEST(RamRanges, AreAllThatIsNotAbsent) {
  const RangeSet ram = ram_ranges(Sample());
  const std::vector<PhysRange> expected{{{0x1000}, 0x3000}, {{0x8000}, 0x1000}};
  EXPECT_EQ(ram.ranges(), expected);
}

TEST(Presence, HasNames) {
  EXPECT_EQ(presence_name(Presence::zero), "zero");
  EXPECT_EQ(presence_name(Presence::data), "missing from this dump");
}

}  // namespace
}  // namespace vmcore
