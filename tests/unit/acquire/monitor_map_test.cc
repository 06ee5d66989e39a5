// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/monitor_map.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace vmcore::acquire {
namespace {

using qmp::Json;

constexpr std::uint64_t kMiB = 1U << 20;

// Where a QEMU has a part of what its guest sees.
struct Place {
  std::uint64_t guest;
  std::uint64_t size;
  std::uint64_t host;
};

// A monitor that knows two nodes of 512 MiB each, and firmware that it does not tell of.
class MonitorMap : public testing::Test {
 protected:
  Execute execute() {
    return [this](const std::string& command, const Json& arguments) -> Result<Json> {
      if (command == "query-memdev") {
        return Json{{{"id", "ram1"}, {"size", 512 * kMiB}}, {{"id", "ram0"}, {"size", 512 * kMiB}}};
      }
      if (command == "query-memory-size-summary") {
        return Json{{"base-memory", base_}};
      }
      if (command == "query-memory-devices") {
        return devices_;
      }
      const std::string line = arguments.at("command-line");
      return line == "info mtree -f"   ? Json(mtree_)
             : line.starts_with("xp/") ? Json(words_)
                                       : gpa2hva(line);
    };
  }
  Result<Json> gpa2hva(const std::string& line) const {
    unsigned long address = 0;
    if (std::sscanf(line.c_str(), "gpa2hva 0x%lx", &address) != 1 || broken_) {
      return fail(Errc::not_found, "QEMU is gone");
    }
    for (const Place& place : places_) {
      if (address >= place.guest && address - place.guest < place.size) {
        return Json(fmt::format("Host virtual address for {:#x} (ram) is {:#x}\r\n", address,
                                place.host + (address - place.guest)));
      }
    }
    return Json("No memory is mapped at address\r\n");
  }

  bool broken_ = false;
  std::uint64_t base_ = 1024 * kMiB;
  Json devices_ = Json::array();
  std::string words_;
  std::vector<Place> places_{{0, 512 * kMiB, 0x7f00'0000'0000},
                             {512 * kMiB, 512 * kMiB, 0x7e00'0000'0000}};
  std::string mtree_ =
      "FlatView #0\r\n"
      " AS \"memory\", root: system\r\n"
      "  0000000000000000-000000001fffffff (prio 0, ram): ram0\r\n"
      "  0000000020000000-000000003fffffff (prio 0, ram): ram1\r\n"
      "  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\r\n";
};

std::string text_of(const Result<std::vector<RamBlock>>& found) {
  if (!found) {
    return std::string(errc_name(found.error().code));
  }
  std::string text;
  for (const RamBlock& block : *found) {
    text += fmt::format("{:#x}: {:#x} + {:#x}\n", block.range.begin.value, block.address,
                        block.range.size);
  }
  return text;
}

TEST_F(MonitorMap, RamByTheMap) {
  EXPECT_EQ(text_of(find_ram(execute())),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ff00000\n"
            "0x20000000: 0x7e0000000000 + 0x20000000\n");
}

// max-ram-below-4g=512M: where high memory begins in the machine's RAM is QEMU's to say. The memory
// of devices is not the guest's RAM, though a backend has it.
TEST_F(MonitorMap, LowMemoryIsCutWhereQemuCutsIt) {
  mtree_ =
      "FlatView #0\r\n AS \"memory\", root: system\r\n"
      "  0000000000000000-00000000000bffff (prio 0, ram): /objects/ram0\r\n"
      "  00000000000f0000-00000000000fffff (prio 0, ram): pc.bios\r\n"
      "  0000000000100000-000000001fffffff (prio 0, ram): /objects/ram0 @0000000000100000\r\n"
      "  00000000f0000000-00000000f0ffffff (prio 0, ram): vga.vram\r\n"
      "  0000000100000000-000000011fffffff (prio 0, ram): ram1\r\n"
      "  0000000200000000-000000020fffffff (prio 0, ram): hot\r\n"
      "  0000000300000000-000000031fffffff (prio 0, ram): nv\r\n";
  places_ = {{0, 512 * kMiB, 0x7f00'0000'0000},
             {4096 * kMiB, 512 * kMiB, 0x7e00'0000'0000},
             {8192 * kMiB, 256 * kMiB, 0x7d00'0000'0000}};
  devices_ = Json{{{"type", "dimm"}, {"data", {{"addr", 8192 * kMiB}, {"size", 256 * kMiB}}}},
                  {{"type", "nvdimm"}, {"data", {{"addr", 12288 * kMiB}, {"size", 512 * kMiB}}}}};
  EXPECT_EQ(text_of(find_ram(execute())),
            "0x0: 0x7f0000000000 + 0xa0000\n"
            "0x100000: 0x7f0000100000 + 0x1ff00000\n"
            "0x100000000: 0x7e0000000000 + 0x20000000\n"
            "0x200000000: 0x7d0000000000 + 0x10000000\n");
}

TEST_F(MonitorMap, AMapThatShowsOtherThanAllMainMemoryIsRefused) {
  for (const std::uint64_t base : {512 * kMiB + 1, 768 * kMiB, 1536 * kMiB, std::uint64_t{0}}) {
    base_ = base;
    EXPECT_EQ(text_of(find_ram(execute())), "unsupported") << base;
  }
  base_ = 1024 * kMiB;
  mtree_ = "another form";
  EXPECT_EQ(text_of(find_ram(execute())), "unsupported");
}

TEST_F(MonitorMap, WordsThatQemuHas) {
  std::array<std::byte, 24> bytes{};
  words_ =
      "0000000002000000: 0x0706050403020100 0x0000000000000000\r\n"
      "0000000002000010: 0xff00000000000000\r\n";
  ASSERT_TRUE(peek_words(execute(), {0x2000000}, bytes));
  EXPECT_EQ(bytes[7], std::byte{7});
  EXPECT_EQ(bytes[23], std::byte{0xff});
  words_ = "0000000002000000: Cannot access memory\r\n";
  EXPECT_EQ(peek_words(execute(), {0x2000000}, bytes).error().code, Errc::unsupported);
}

TEST_F(MonitorMap, AllThatTheMapShowsAndQemuTells) {
  const auto all = find_all_ram(execute());
  ASSERT_TRUE(all) << all.error().message;
  ASSERT_EQ(all->size(), 2U);
  EXPECT_EQ((*all)[1].range, (PhysRange{{512 * kMiB}, 512 * kMiB}));
  EXPECT_EQ((*all)[1].address, 0x7e00'0000'0000U);
}

TEST_F(MonitorMap, ALostMonitorIsAnError) {
  broken_ = true;
  EXPECT_EQ(find_all_ram(execute()).error().code, Errc::not_found);
  EXPECT_EQ(find_ram(execute()).error().code, Errc::not_found);
}

TEST_F(MonitorMap, ABlockInTwoPiecesIsNone) {
  const auto block = find_block(execute(), {{256 * kMiB}, 512 * kMiB});
  ASSERT_FALSE(block);
  EXPECT_EQ(block.error().code, Errc::unsupported);
}

TEST(Within, PartsOfWhatIsKnown) {
  const std::vector<RamBlock> known{{{{0}, 0x2000}, 0x10000}, {{{0x2000}, 0x2000}, 0x50000}};
  const std::vector<PhysRange> wanted{{{0x1000}, 0x2000}, {{0x3000}, 0x1000}};
  const auto parts = within(wanted, known);
  ASSERT_TRUE(parts) << parts.error().message;
  ASSERT_EQ(parts->size(), 3U);
  EXPECT_EQ((*parts)[0].address, 0x11000U);
  EXPECT_EQ((*parts)[1].range, (PhysRange{{0x2000}, 0x1000}));
  EXPECT_EQ((*parts)[1].address, 0x50000U);
  EXPECT_EQ((*parts)[2].address, 0x51000U);
}

TEST(Within, NothingMayBeMissing) {
  const std::vector<RamBlock> known{{{{0}, 0x2000}, 0x10000}};
  const std::vector<PhysRange> wanted{{{0x1000}, 0x2000}};
  EXPECT_EQ(within(wanted, known).error().code, Errc::unsupported);
  const std::vector<PhysRange> elsewhere{{{0x8000}, 0x1000}};
  EXPECT_EQ(within(elsewhere, known).error().code, Errc::unsupported);
}

}  // namespace
}  // namespace vmcore::acquire
