// SPDX-License-Identifier: GPL-2.0-or-later
// The parts of the picture; tests/cli/test_memory.py reads whole ones with an XML parser.
#include "src/show/memory_picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/show/memory_layers.h"
#include "tests/unit/show/count.h"

namespace vmcore::show {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// 16 KiB a cell, so 1 MiB a row.
report::MemoryReport report_of(std::vector<report::BinUse> bins) {
  report::MemoryReport report{.release = "6.12.0",
                              .memory = 100,
                              .kept_at_31 = 10,
                              .classes = {{"kernel", "kernel and unclassified", 0},
                                          {"free", "free", 0},
                                          {"user", "user pages", 0},
                                          {"moon", "a class of later", 0}},
                              .bin_size = 16384,
                              .bins = std::move(bins),
                              .remarks = {}};
  return report;
}

std::string draw(const report::MemoryReport& report, std::string name = "vm1") {
  return draw_memory(report, {std::move(name), "today"});
}

TEST(MemoryPicture, ACellIsStackedFromBelow) {
  // 14 high, its first row at 112: the lower half is the kernel's.
  const std::string svg = draw(report_of({{0, {2, 1, 1, 0}, 1}}));
  EXPECT_THAT(svg, HasSubstr("<path fill=\"#d55e00\" d=\"M176 126h12.2V119h-12.2z\"/>"));
  EXPECT_THAT(svg, HasSubstr("<path fill=\"#0072b2\" d=\"M176 119h12.2V115.5h-12.2z\"/>"));
  EXPECT_THAT(svg, HasSubstr("<path fill=\"#eaf0f5\" d=\"M176 115.5h12.2V112h-12.2z\"/>"));
  EXPECT_THAT(svg, HasSubstr("<title>0x0, 16.0 KiB: kernel 50.0%, user 25.0%, zero 25.0%</title>"));
}

TEST(MemoryPicture, FreePagesOfZerosAreALayerOfTheirOwn) {
  report::MemoryReport report = report_of({{0, {0, 4, 0, 0}, 3}, {16384, {0, 4, 0, 0}, 4}});
  report.free_zero = 7;
  const auto layers = layers_of(report);
  ASSERT_EQ(layers.size(), 2U);
  EXPECT_EQ(layers[0].title, "free, used before");
  EXPECT_EQ(layers[0].pages, 1U);
  EXPECT_EQ(layers[1].pages, 7U);
}

// Not every source tells: a file of a guest that was written whole does not.
TEST(MemoryPicture, WhereZerosAreNotKnownFreeIsFree) {
  const auto layers = layers_of(report_of({{0, {0, 4, 0, 0}, 0}}));
  ASSERT_EQ(layers.size(), 1U);
  EXPECT_EQ(layers[0].title, "free");
}

TEST(MemoryPicture, AClassOfALaterWorkerIsShown) {
  EXPECT_THAT(draw(report_of({{0, {0, 0, 0, 4}, 0}})), HasSubstr(">a class of later</text>"));
}

TEST(MemoryPicture, CellsStandAtTheirAddress) {
  const std::string svg = draw(report_of({{0x10'0000 + 63 * 16384, {4, 0, 0, 0}, 0}}));
  EXPECT_THAT(svg, HasSubstr(">0x100000</text>"));
  EXPECT_THAT(svg, HasSubstr("d=\"M995 "));  // 176 + 63 * 13
  EXPECT_THAT(svg, HasSubstr("hole of 1.0 MiB from 0x0"));
}

TEST(MemoryPicture, EachEighthRowTellsItsSize) {
  const std::string svg = draw(report_of({{0, {4, 0, 0, 0}, 0},
                                          {2 << 20, {4, 0, 0, 0}, 0},
                                          {0x7c00'0000, {4, 0, 0, 0}, 0},
                                          {0x1'6000'0000, {4, 0, 0, 0}, 0}}));
  for (const char* size : {">0 GiB<", ">1984 MiB<", ">5.5 GiB<"}) {
    EXPECT_THAT(svg, HasSubstr(size));
  }
  EXPECT_THAT(svg, Not(HasSubstr(">2 MiB<")));
}

TEST(MemoryPicture, HolesAreToldOnce) {
  const std::string svg = draw(report_of(
      {{0, {4, 0, 0, 0}, 0}, {0x10'0000, {4, 0, 0, 0}, 0}, {0x1'0000'0000, {4, 0, 0, 0}, 0}}));
  EXPECT_EQ(count(svg, "hole of"), 1U);
  EXPECT_THAT(svg, HasSubstr("hole of 4.0 GiB from 0x200000"));
}

TEST(MemoryPicture, MarksWhatIsNotWhole) {
  report::MemoryReport report = report_of({{0, {4, 0, 0, 0}, 0}});
  EXPECT_THAT(draw(report), Not(HasSubstr("TORN")));
  EXPECT_THAT(draw(report), Not(HasSubstr("not in the file")));
  report.torn = report.incomplete = true;
  report.excluded_before = 3;
  EXPECT_THAT(draw(report), HasSubstr("TORN"));
  EXPECT_THAT(draw(report), HasSubstr("INCOMPLETE"));
  EXPECT_THAT(draw(report), HasSubstr("not in the file"));
}

TEST(MemoryPicture, NamesAreText) {
  report::MemoryReport report = report_of({{0, {4, 0, 0, 0}, 0}});
  report.release = "</text><script>";
  report.classes[0].title = "<kernel>";
  const std::string svg = draw(report, "\"><image href='x'/>\xff");
  EXPECT_THAT(svg, Not(HasSubstr("<script>")));
  EXPECT_THAT(svg, Not(HasSubstr("<image")));
  EXPECT_THAT(svg, Not(HasSubstr("<kernel>")));
  EXPECT_THAT(svg, Not(HasSubstr("\xff")));
}

TEST(MemoryPicture, StaysSmall) {
  std::vector<report::BinUse> full;
  std::vector<report::BinUse> scattered;  // a row each, after a hole
  for (std::uint64_t i = 0; i < 4096; ++i) {
    full.push_back({i * 16384, {1, 1, 1, 1}, 0});
    scattered.push_back({i * (2 << 20), {1, 1, 1, 1}, 0});
  }
  EXPECT_LT(draw(report_of(std::move(full))).size(), 2U << 20);
  EXPECT_LT(draw(report_of(std::move(scattered))).size(), 4U << 20);
}

TEST(MemoryPicture, OfNothing) { EXPECT_THAT(draw(report_of({})), HasSubstr("</svg>")); }

}  // namespace
}  // namespace vmcore::show
