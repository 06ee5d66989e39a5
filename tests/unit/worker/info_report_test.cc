// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/info_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/builders/kernel_builder.h"

namespace vmcore::worker {
namespace {

using testing::GuestBuilder;
using Json = nlohmann::json;

Json info_of(const MemoryImage& image) {
  const auto description = convert::describe(image, {}, {});
  EXPECT_TRUE(description) << description.error().message;
  const std::string text = report::to_json(info_report(image, *description));
  const auto again = report::info_from_json(text);
  EXPECT_TRUE(again) << again.error().message;
  EXPECT_EQ(report::to_json(*again), text);
  return Json::parse(text);
}

TEST(InfoReport, AGuest) {
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2010 anon\n2017 slab").log(2'500'000'000, "panic");
  const Json info = info_of(guest.build());
  EXPECT_EQ(info["kernel"]["release"], "6.12.0-test");
  EXPECT_EQ(info["kernel"]["vmcoreinfo"], "note");
  EXPECT_EQ(info["machine"], "x86_64");
  EXPECT_EQ(info["last_log_stamp"], 2.5);
  EXPECT_EQ(info["pages"]["ram"], 0x4000);
  EXPECT_EQ(info["pages"]["by_class"]["free"], 16);
  EXPECT_EQ(info["pages"]["by_class"]["user"], 1);
  EXPECT_EQ(info["ram"][0]["size"], 64 << 20);
  ASSERT_EQ(info["cpus"].size(), 1U);
  EXPECT_EQ(info["cpus"][0]["mode"], "kernel");
  EXPECT_FALSE(info.contains("crash_time"));
}

TEST(InfoReport, ANoteWithoutItsKernel) {
  GuestBuilder guest("6.12");
  MemoryImage image = guest.build();
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  const Json info = info_of(image);
  EXPECT_EQ(info["kernel"]["release"], "6.12.0-test");
  EXPECT_EQ(info["kernel"]["in_memory"], false);
  EXPECT_FALSE(info["kernel"].contains("kaslr_offset"));
  EXPECT_TRUE(info["pages"]["by_class"].empty());
}

// Each second page is RAM.
class ManyRanges : public PhysicalMemory {
 public:
  static constexpr std::uint64_t kRanges = 4096 + 5;
  Extent extent(PhysAddr address) const override {
    const std::uint64_t page = address.value / 4096;
    if (page >= 2 * kRanges) {
      return {{address, kMaxPhysAddr - address.value}, Presence::absent};
    }
    return {{address, (page + 1) * 4096 - address.value},
            page % 2 == 0 ? Presence::excluded : Presence::absent};
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte>) const override {
    return ReadExtent{0, address};
  }
};

TEST(InfoReport, TheListOfRangesEndsAndSaysSo) {
  MemoryImage image;
  image.memory = std::make_unique<ManyRanges>();
  const Json info = info_of(image);
  EXPECT_EQ(info["ram"].size(), 4096U);
  EXPECT_EQ(info["pages"]["ram"], ManyRanges::kRanges);
  EXPECT_EQ(info["remarks"].back()["text"], "5 more ranges of memory are not listed");
}

TEST(InfoReport, HostileTextIsValidJson) {
  MemoryImage image;
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  image.file.format = "bad \xff\xfe \"quoted\"\n\x1b[2J \x7f \u009b";
  image.remarks.push_back({Errc::io, std::string("nul \0 here", 10)});
  const auto description = convert::describe(image, {}, {});
  for (const char c : report::to_json(info_report(image, *description))) {
    EXPECT_TRUE((c >= ' ' && c <= '~') || c == '\n') << static_cast<int>(c);
  }
  const Json info = info_of(image);
  EXPECT_FALSE(info.contains("kernel"));
  EXPECT_EQ(info["machine"], "unknown");
  EXPECT_EQ(info["remarks"][0]["code"], "io");
}

}  // namespace
}  // namespace vmcore::worker
