// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/report/memory.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vmcore::report {
namespace {

using Json = nlohmann::json;

// What a worker says of 64 KiB of memory in two parts.
Json answer() {
  return Json::parse(R"({
    "schema": "vmcorectl-memory/1", "release": "6.12.0", "torn": true, "incomplete": false,
    "memory": {"pages": 16}, "free_zero": {"pages": 2}, "kept_at_31": {"pages": 9},
    "excluded_before": {"pages": 0},
    "ram": [{"start": "0x0", "size": 65536}],
    "classes": [{"name": "kernel", "title": "kernel and unclassified", "pages": 9},
                {"name": "free", "title": "free", "pages": 4},
                {"name": "user", "title": "user pages", "pages": 3},
                {"name": "offline", "title": "logically offline", "pages": 0}],
    "map": {"bin_size": 32768,
            "bins": [{"start": "0x0", "pages": {"kernel": 8}},
                     {"start": "0x100000000", "pages": {"kernel": 1, "free": 4, "user": 3},
                      "free_zero": 2}]},
    "remarks": [{"code": "io", "severity": "warning", "text": "a \u001b[2J remark"}]})");
}

void expect_refused(const Json& json) {
  const auto report = memory_from_json(json.dump());
  ASSERT_FALSE(report) << json.dump();
  EXPECT_EQ(report.error().code, Errc::malformed);
}

TEST(MemoryReport, IsRead) {
  const auto report = memory_from_json(answer().dump());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->release, "6.12.0");
  EXPECT_TRUE(report->torn);
  EXPECT_EQ(report->memory, 16U);
  ASSERT_EQ(report->bins.size(), 2U);
  EXPECT_EQ(report->bins[1].start, 0x1'0000'0000U);
  EXPECT_EQ(report->bins[1].pages, (std::vector<std::uint64_t>{1, 4, 3, 0}));
  EXPECT_EQ(report->bins[1].free_zero, 2U);
  EXPECT_EQ(report->ram, (std::vector<PhysRange>{{{0}, 65536}}));
  ASSERT_EQ(report->remarks.size(), 1U);
  EXPECT_EQ(report->remarks[0].text, "a \x1b[2J remark");
  EXPECT_EQ(to_json(*memory_from_json(to_json(*report))), to_json(*report));
}

TEST(MemoryReport, WhatMustBeThere) {
  const Json whole = answer();
  for (const auto& [key, value] : whole.items()) {
    Json json = answer();
    json.erase(key);
    expect_refused(json);
    json[key] = "text";
    if (key != "release") {
      expect_refused(json);
    }
  }
  EXPECT_FALSE(memory_from_json(""));
  EXPECT_FALSE(memory_from_json("[]"));
  EXPECT_FALSE(memory_from_json(std::string(100'000, '[')));
}

TEST(MemoryReport, BinsThatCannotBe) {
  const auto refused_with = [](const char* pointer, const Json& value) {
    Json json = answer();
    json[Json::json_pointer(pointer)] = value;
    expect_refused(json);
  };
  for (const std::uint64_t size : {0ULL, 1ULL, 2048ULL, 12288ULL, 1ULL << 47, ~0ULL}) {
    refused_with("/map/bin_size", size);
  }
  refused_with("/map/bins/1/start", "0x0");     // there already
  refused_with("/map/bins/1/start", "0x1000");  // in the one before
  refused_with("/map/bins/1/start", "nowhere");
  refused_with("/map/bins/1/start", "0x400000000000");
  refused_with("/map/bins/1/start", "0x1ffffffffffffffff");
  refused_with("/map/bins/1/pages/kernel", 2);  // more than fit
  refused_with("/map/bins/1/pages/kernel", 0xffff'ffff'ffff'fffdULL);
  refused_with("/map/bins/1/free_zero", 5);
  refused_with("/map/bins/1/pages", 5);
  refused_with("/classes/2/name", "free");  // twice
  refused_with("/memory/pages", ~0ULL);
  refused_with("/memory/pages", 1e300);
}

TEST(MemoryReport, TooMuch) {
  Json json = answer();
  for (int i = 0; i < 8192; ++i) {
    json["map"]["bins"].push_back(
        {{"start", fmt::format("{:#x}", 0x2'0000'0000 + i * 32768LL)}, {"pages", Json::object()}});
  }
  expect_refused(json);
  json = answer();
  for (int i = 0; i < 64; ++i) {
    json["classes"].push_back({{"name", std::to_string(i)}, {"title", ""}, {"pages", 0}});
  }
  expect_refused(json);
}

}  // namespace
}  // namespace vmcore::report
