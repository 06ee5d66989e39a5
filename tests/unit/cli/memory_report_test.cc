#include "src/cli/memory_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace vmcore::cli {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// What a worker says of 64 KiB of memory in two parts.
Json answer() {
  return Json::parse(R"({
    "release": "6.12.0", "torn": true, "incomplete": false,
    "memory": {"pages": 16}, "free_zero": {"pages": 2}, "kept_at_31": {"pages": 9},
    "excluded_before": {"pages": 0},
    "classes": [{"name": "kernel", "title": "kernel and unclassified", "pages": 9},
                {"name": "free", "title": "free", "pages": 4},
                {"name": "user", "title": "user pages", "pages": 3},
                {"name": "offline", "title": "logically offline", "pages": 0}],
    "map": {"bin_size": 32768,
            "bins": [{"start": "0x0", "pages": {"kernel": 8}},
                     {"start": "0x100000000", "pages": {"kernel": 1, "free": 4, "user": 3},
                      "free_zero": 2}]},
    "remarks": [{"code": "io", "text": "a \u001b[2J remark"}]})");
}

void expect_refused(const Json& json) {
  const auto report = read_memory_report(json.dump());
  ASSERT_FALSE(report) << json.dump();
  EXPECT_EQ(report.error().code, Errc::malformed);
}

TEST(MemoryReport, IsRead) {
  const auto report = read_memory_report(answer().dump());
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->release, "6.12.0");
  EXPECT_TRUE(report->torn);
  EXPECT_EQ(report->memory, 16U);
  ASSERT_EQ(report->bins.size(), 2U);
  EXPECT_EQ(report->bins[1].start, 0x1'0000'0000U);
  EXPECT_EQ(report->bins[1].pages, (std::vector<std::uint64_t>{1, 4, 3, 0}));
  EXPECT_EQ(report->bins[1].free_zero, 2U);
}

TEST(MemoryReport, Table) {
  const std::string table = describe_memory(*read_memory_report(answer().dump()));
  EXPECT_THAT(table, HasSubstr("kernel and unclassified             36.0 KiB   56.2%\n"));
  EXPECT_THAT(table, HasSubstr("untouched                8.0 KiB   12.5%\n"));
  EXPECT_THAT(table,
              HasSubstr("total                                               64.0 KiB  100.0%\n"));
  EXPECT_THAT(table, HasSubstr("a dump at level 31 keeps 36.0 KiB (56.2%)\n"));
  EXPECT_THAT(table, HasSubstr("note            a \\x1b[2J remark\n"));
  EXPECT_THAT(table, Not(HasSubstr("offline")));
  EXPECT_THAT(table, Not(HasSubstr("not in the file")));
}

TEST(MemoryReport, WhatIsNotInTheFileIsTold) {
  Json json = answer();
  json["excluded_before"]["pages"] = 4;
  EXPECT_THAT(describe_memory(*read_memory_report(json.dump())),
              HasSubstr("not in the file: 16.0 KiB (25.0%)"));
  json["incomplete"] = true;
  EXPECT_THAT(describe_memory(*read_memory_report(json.dump())), HasSubstr("complete        NO"));
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
  EXPECT_FALSE(read_memory_report(""));
  EXPECT_FALSE(read_memory_report("[]"));
  EXPECT_FALSE(read_memory_report(std::string(100'000, '[')));
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

TEST(MemoryReport, Percent) {
  EXPECT_EQ(percent(1, 3), "33.3%");
  EXPECT_EQ(percent(0, 0), "0.0%");
  EXPECT_EQ(percent(5, 5), "100.0%");
}

}  // namespace
}  // namespace vmcore::cli
