// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/page_layout.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_layouts.h"

namespace vmcore::filters {
namespace {

constexpr std::uint64_t kStructPage = 64;

kernel::Vmcoreinfo info_of(std::string_view lines) {
  const std::string text = fmt::format("OSRELEASE=test\n{}", lines);
  return *kernel::Vmcoreinfo::parse(std::as_bytes(std::span(text)));
}

// The lines of a layout, with one more, which counts instead of an earlier one of that key.
Result<PageLayout> layout_of(std::string_view name, std::string_view line = "",
                             std::uint64_t struct_size = kStructPage) {
  return read_page_layout(info_of(fmt::format("{}{}\n", testing::find_layout(name)->lines, line)),
                          struct_size);
}

// The lines of a layout without those that begin with `key`, and others instead.
Result<PageLayout> layout_without(std::string_view name, std::string_view key,
                                  std::string kept = {}) {
  std::string_view rest = testing::find_layout(name)->lines;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n') + 1);
    rest.remove_prefix(line.size());
    if (!line.starts_with(key)) {
      kept += line;
    }
  }
  return read_page_layout(info_of(kept), kStructPage);
}

struct Style {
  const char* name;
  OrderStyle order;
  HugetlbStyle hugetlb;
  bool slab_is_flag;
  bool unaccepted;
};

class LayoutStyles : public ::testing::TestWithParam<Style> {};

TEST_P(LayoutStyles, AreRead) {
  const auto layout = layout_of(GetParam().name);
  ASSERT_TRUE(layout) << layout.error().message;
  EXPECT_EQ(layout->flags, 0U);
  EXPECT_EQ(layout->compound_head, 8U);
  EXPECT_EQ(layout->mapping, 24U);
  EXPECT_EQ(layout->private_data, 40U);
  EXPECT_EQ(layout->mapcount, 48U);
  EXPECT_EQ(layout->buddy_orders, 11U);
  EXPECT_NE(layout->hwpoison, 0U);
  EXPECT_TRUE(layout->buddy_type && layout->offline_type);
  EXPECT_EQ(layout->order_style, GetParam().order);
  EXPECT_EQ(layout->hugetlb_style, GetParam().hugetlb);
  EXPECT_EQ(layout->slab_flag != 0, GetParam().slab_is_flag);
  EXPECT_EQ(layout->slab_type.has_value(), !GetParam().slab_is_flag);
  EXPECT_TRUE(layout->tells_slab());
  EXPECT_EQ(layout->unaccepted_type.has_value(), GetParam().unaccepted);
}

INSTANTIATE_TEST_SUITE_P(
    Kernels, LayoutStyles,
    ::testing::Values(
        Style{"5.4", OrderStyle::byte_field, HugetlbStyle::destructor, true, false},
        Style{"5.15", OrderStyle::byte_field, HugetlbStyle::destructor, true, false},
        Style{"6.1", OrderStyle::byte_field, HugetlbStyle::destructor, true, false},
        Style{"6.6", OrderStyle::low_flags_byte, HugetlbStyle::second_flags, true, false},
        Style{"6.12", OrderStyle::low_flags_byte, HugetlbStyle::page_type, false, false},
        Style{"7.1", OrderStyle::low_flags_byte, HugetlbStyle::page_type, false, true}),
    [](const auto& tested) {
      std::string name = tested.param.name;
      name.replace(name.find('.'), 1, "_");
      return name;
    });

// v6.3 to v6.5: order and destructor are members of struct folio, told from its begin.
TEST(PageLayout, FolioMembers) {
  const std::string lines = "OFFSET(folio._folio_order)=81\nOFFSET(folio._folio_dtor)=80\n";
  const auto layout =
      layout_without("6.6", "NUMBER(PG_hugetlb)", lines + "NUMBER(HUGETLB_PAGE_DTOR)=2\n");
  ASSERT_TRUE(layout) << layout.error().message;
  EXPECT_EQ(layout->order_style, OrderStyle::byte_field);
  EXPECT_EQ(layout->order_field, 17U);
  EXPECT_EQ(layout->hugetlb_style, HugetlbStyle::destructor);
  EXPECT_EQ(layout->destructor_field, 16U);
}

TEST(PageLayout, NewerWaysAreTakenBeforeOlderOnes) {
  const auto layout = layout_of("5.4", "NUMBER(PAGE_HUGETLB_MAPCOUNT_VALUE)=-201326592");
  EXPECT_EQ(layout->hugetlb_style, HugetlbStyle::page_type);
}

TEST(PageLayout, WithoutHugetlb) {
  EXPECT_EQ(layout_without("6.1", "NUMBER(HUGETLB_PAGE_DTOR)")->hugetlb_style, HugetlbStyle::none);
  EXPECT_EQ(layout_without("6.6", "NUMBER(PG_hugetlb)")->hugetlb_style, HugetlbStyle::none);
  EXPECT_EQ(layout_without("6.12", "NUMBER(PAGE_HUGETLB")->hugetlb_style, HugetlbStyle::none);
}

TEST(PageLayout, WithoutSlabUserPagesCannotBeTold) {
  EXPECT_FALSE(layout_without("6.1", "NUMBER(PG_slab)")->tells_slab());
  EXPECT_FALSE(layout_without("6.12", "NUMBER(PAGE_SLAB")->tells_slab());
}

TEST(PageLayout, WhatEveryRuleNeedsMustBeThere) {
  for (const char* key : {"OFFSET(page.flags)", "OFFSET(page.mapping)", "OFFSET(page._mapcount)",
                          "OFFSET(page.private)", "OFFSET(page.compound_head)", "NUMBER(PG_lru)",
                          "NUMBER(PG_head_mask)"}) {
    const auto layout = layout_without("6.12", key);
    ASSERT_FALSE(layout) << key;
    EXPECT_EQ(layout.error().code, Errc::not_found) << key;
  }
}

class HostileLayouts : public ::testing::TestWithParam<const char*> {};

TEST_P(HostileLayouts, AreRefused) {
  const auto layout = layout_of("6.1", GetParam());
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().code, Errc::malformed) << layout.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Lines, HostileLayouts,
    ::testing::Values("OFFSET(page.flags)=57", "OFFSET(page.flags)=18446744073709551615",
                      "OFFSET(page.mapping)=64", "OFFSET(page._mapcount)=61",
                      "OFFSET(page.private)=4294967296", "OFFSET(page.compound_head)=60",
                      "OFFSET(page.compound_order)=64", "OFFSET(page.compound_dtor)=255",
                      "NUMBER(PG_lru)=64", "NUMBER(PG_lru)=-1", "NUMBER(PG_slab)=4096",
                      "NUMBER(PG_hwpoison)=9223372036854775807", "LENGTH(zone.free_area)=0",
                      "LENGTH(zone.free_area)=20", "LENGTH(zone.free_area)=18446744073709551615"));

TEST(PageLayout, FolioMembersMustLieInTheSecondStructPage) {
  for (const char* line : {"OFFSET(folio._folio_order)=63", "OFFSET(folio._folio_order)=128",
                           "OFFSET(folio._folio_order)=18446744073709551615"}) {
    const auto layout = layout_of("6.6", line);
    ASSERT_FALSE(layout) << line;
    EXPECT_EQ(layout.error().code, Errc::malformed) << line;
  }
}

TEST(PageLayout, OffsetsMustFitASmallerStructPage) {
  EXPECT_FALSE(layout_of("6.1", "", 32));
  EXPECT_TRUE(layout_of("6.1", "", 56));
}

TEST(PageType, BeforeAndSince6_12) {
  const PageType bits{0xffff'ff7f};  // all bits but one: -129
  EXPECT_TRUE(bits.matches(0xffff'ff7f));
  EXPECT_FALSE(bits.matches(0xffff'ffff));
  EXPECT_FALSE(bits.matches(0xffff'ff3f));
  const PageType byte{0xf000'0000};
  EXPECT_TRUE(byte.matches(0xf000'0000));
  EXPECT_TRUE(byte.matches(0xf012'3456));
  EXPECT_FALSE(byte.matches(0xffff'ffff));
  EXPECT_FALSE(byte.matches(0));
}

}  // namespace
}  // namespace vmcore::filters
