#include "src/acquire/monitor_map.h"

#include <gtest/gtest.h>

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
      if (command == "qom-get") {
        return Json("pc-q35-7.2-machine");
      }
      if (command == "query-memory-size-summary") {
        return Json{{"base-memory", 1024 * kMiB}};
      }
      if (command == "query-memory-devices") {
        return Json::array();
      }
      const std::string line = arguments.at("command-line");
      return line == "info mtree -f" ? Json(mtree_) : gpa2hva(line);
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
  std::vector<Place> places_{{0, 512 * kMiB, 0x7f00'0000'0000},
                             {512 * kMiB, 512 * kMiB, 0x7e00'0000'0000}};
  std::string mtree_ =
      "FlatView #0\r\n"
      " AS \"memory\", root: system\r\n"
      "  0000000000000000-000000001fffffff (prio 0, ram): ram0\r\n"
      "  0000000020000000-000000003fffffff (prio 0, ram): ram1\r\n"
      "  00000000fffc0000-00000000ffffffff (prio 0, rom): pc.bios\r\n";
};

TEST_F(MonitorMap, RamByTheKindOfMachine) {
  const auto ram = find_ram(execute());
  ASSERT_TRUE(ram) << ram.error().message;
  ASSERT_EQ(ram->size(), 3U);
  EXPECT_EQ((*ram)[0].range, (PhysRange{{0}, 0xa0000}));
  EXPECT_EQ((*ram)[1].range, (PhysRange{{kMiB}, 511 * kMiB}));
  EXPECT_EQ((*ram)[1].address, 0x7f00'0010'0000U);
  EXPECT_EQ((*ram)[2].range, (PhysRange{{512 * kMiB}, 512 * kMiB}));
  EXPECT_EQ((*ram)[2].address, 0x7e00'0000'0000U);
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
