// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/memory_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/builders/kernel_builder.h"

namespace vmcore::worker {
namespace {

using testing::GuestBuilder;
using Json = nlohmann::json;

TEST(MemoryReport, AGuest) {
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2010 anon\n2011 cache\n2017 slab");
  const MemoryImage image = guest.build();
  const auto use = convert::memory_use(image, {}, {});
  ASSERT_TRUE(use) << use.error().message;
  const std::string text = report::to_json(memory_report(image, *use, true));
  const auto again = report::memory_from_json(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(report::to_json(*again), text);
  const Json json = Json::parse(text);
  EXPECT_EQ(json["release"], "6.12.0-test");
  EXPECT_TRUE(json["torn"]);
  EXPECT_FALSE(json["incomplete"]);
  EXPECT_EQ(json["memory"], Json({{"pages", 0x4000}, {"bytes", 64 << 20}}));
  EXPECT_EQ(json["kept_at_31"]["pages"], 0x4000 - 16 - 1 - 1);
  EXPECT_EQ(json["ram"], Json::array({{{"start", "0x0"}, {"size", 64 << 20}}}));
  std::map<std::string, int> pages;
  for (const Json& entry : json["classes"]) {
    pages[entry["name"]] = entry["pages"];
    EXPECT_EQ(entry["bytes"], entry["pages"].get<int>() * 4096);
    EXPECT_FALSE(entry["title"].get<std::string>().empty());
  }
  EXPECT_EQ(pages["free"], 16);
  EXPECT_EQ(pages["user"], 1);
  EXPECT_EQ(pages["slab"], 1);
  EXPECT_EQ(json["map"]["bin_size"], 16384);
  const Json& bin = json["map"]["bins"][0x2010 / 4];
  EXPECT_EQ(bin,
            Json({{"start", "0x2010000"}, {"pages", {{"kernel", 2}, {"user", 1}, {"cache", 1}}}}));
}

TEST(MemoryReport, HostileTextIsAscii) {
  MemoryImage image;
  image.memory = std::make_unique<testing::SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  convert::MemoryUse use;
  use.release = "6 \xff\xfe \"quoted\"\n\x1b[2J \x7f \u009b";
  use.remarks.push_back({Errc::io, std::string("nul \0 here", 10)});
  const std::string text = report::to_json(memory_report(image, use, false));
  for (const char c : text) {
    EXPECT_TRUE((c >= ' ' && c <= '~') || c == '\n') << static_cast<int>(c);
  }
  EXPECT_EQ(Json::parse(text)["remarks"][0]["code"], "io");
}

}  // namespace
}  // namespace vmcore::worker
