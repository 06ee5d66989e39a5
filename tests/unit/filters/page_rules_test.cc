// SPDX-License-Identifier: GPL-2.0-or-later
// What each kind of page is taken for, in every kernel layout, at every level.
#include "filters/page_rules.h"

#include <sstream>

#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;

constexpr unsigned kLevels[] = {0, 1, 2, 4, 8, 16, 31};

struct Row {
  const char* page;     // as GuestBuilder reads it
  const char* dropped;  // the levels of kLevels that leave it out
};

constexpr Row kRows[] = {
    {"2000 free 4", "16 31"},
    {"2010 free", "16 31"},
    {"2011 cache", "2 4 31"},
    {"2012 private_cache", "4 31"},
    {"2013 shmem", "2 4 31"},
    {"2014 anon", "8 31"},
    {"2015 ksm", "8 31"},
    {"2016 swapcache", "8 31"},
    {"2017 slab", ""},
    {"2018 slab 3", ""},
    {"2020 cache 4", "2 4 31"},
    {"2030 private_cache 2", "4 31"},
    {"2040 anon 5", "8 31"},
    {"2060 compound 5", ""},
    {"2080 offline", "0 1 2 4 8 16 31"},
    {"2081 hwpoison", "0 1 2 4 8 16 31"},
    {"2082 reserved", ""},
    {"2083 kernel", ""},
    {"2200 hugetlb 9", "8 31"},
    {"2400 anon 9", "8 31"},
    {"2800 free 10", "16 31"},
};

struct Place {
  std::uint64_t first = 0;
  std::uint64_t count = 1;
};

Place place_of(const Row& row) {
  std::istringstream words(row.page);
  std::string kind;
  Place place;
  unsigned order = 0;
  words >> std::hex >> place.first >> kind >> std::dec >> order;
  place.count = 1ULL << order;
  return place;
}

bool dropped_at(const Row& row, unsigned level) {
  std::istringstream levels(row.dropped);
  for (unsigned dropped = 0; levels >> dropped;) {
    if (dropped == level) {
      return true;
    }
  }
  return false;
}

void expect_rows(const Plan& plan, unsigned level) {
  for (const Row& row : kRows) {
    const Place place = place_of(row);
    EXPECT_EQ(kept_of(plan, place.first, place.count), dropped_at(row, level) ? 0 : place.count)
        << row.page << " at level " << level;
  }
}

class Layouts : public ::testing::TestWithParam<const char*> {
 protected:
  GuestBuilder guest() const {
    GuestBuilder guest(GetParam());
    for (const Row& row : kRows) {
      guest.pages(row.page);
    }
    return guest;
  }
};

TEST_P(Layouts, EachPageAtEachLevel) {
  GuestBuilder builder = guest();
  const FoundGuest found(builder);
  for (const unsigned level : kLevels) {
    for (const unsigned threads : {1U, 4U}) {
      const Plan plan = found.plan(level, threads);
      expect_rows(plan, level);
      expect_classes_add_up(plan);
      EXPECT_EQ(plan.level_reached, level);
      EXPECT_TRUE(plan.remarks.empty()) << texts(plan.remarks);
    }
  }
}

TEST_P(Layouts, WhatIsNotDescribedIsKept) {
  GuestBuilder builder = guest();
  const Plan plan = plan_of(builder, 31);
  std::uint64_t dropped = 0;
  for (const Row& row : kRows) {
    dropped += dropped_at(row, 31) ? place_of(row).count : 0;
  }
  EXPECT_EQ(plan.ram.count(), 0x4000U);
  EXPECT_EQ(plan.kept.count(), 0x4000U - dropped);
}

TEST_P(Layouts, ClassesAreCounted) {
  GuestBuilder builder = guest();
  const Plan plan = plan_of(builder, 0);
  EXPECT_EQ(count_of(plan, PageClass::free), 16U + 1 + 1024);
  EXPECT_EQ(count_of(plan, PageClass::cache), 1U + 1 + 16);
  EXPECT_EQ(count_of(plan, PageClass::private_cache), 1U + 4);
  EXPECT_EQ(count_of(plan, PageClass::user), 3U + 32 + 512 + 512);
  EXPECT_EQ(count_of(plan, PageClass::slab), 1U + 8);
  EXPECT_EQ(count_of(plan, PageClass::offline), 1U);
  EXPECT_EQ(count_of(plan, PageClass::hwpoison), 1U);
  EXPECT_EQ(count_of(plan, PageClass::no_memmap), 0U);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Layouts,
                         ::testing::Values("5.4", "5.15", "6.1", "6.6", "6.12", "7.1"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           name.replace(name.find('.'), 1, "_");
                           return name;
                         });

// A head decides for its pages, but not that a poisoned one may be read.
TEST_P(Layouts, PoisonedPagesInBlocks) {
  GuestBuilder guest(GetParam());
  guest.pages(
      "2000 free 4\n2001 hwpoison\n2400 free 10\n2500 hwpoison\n2501 hwpoison\n27ff hwpoison\n"
      "2840 anon 5\n2880 slab 3\n2890 compound 3\n28a0 slab\n");
  FoundGuest found(guest);
  for (const std::uint64_t tail : {0x285fU, 0x2887U, 0x2895U}) {
    const PhysAddr flags = found.struct_page(guest, {tail});
    found.memory().write_value(
        flags, std::uint64_t{1} << found.kernel().info().number("PG_hwpoison").value());
  }
  const Plan all = found.plan(0);
  EXPECT_EQ(count_of(all, PageClass::hwpoison), 7U);
  EXPECT_EQ(count_of(all, PageClass::free), 16U + 1024 - 4);
  EXPECT_EQ(count_of(all, PageClass::user), 31U);
  EXPECT_EQ(count_of(all, PageClass::slab), 7U + 1);
  expect_classes_add_up(all);
  for (const unsigned level : kLevels) {
    const Plan plan = found.plan(level);
    for (const std::uint64_t pfn :
         {0x2001U, 0x2500U, 0x2501U, 0x27ffU, 0x285fU, 0x2887U, 0x2895U}) {
      EXPECT_EQ(kept_of(plan, pfn), 0U) << std::hex << pfn << " at level " << level;
    }
    EXPECT_EQ(kept_of(plan, 0x2000, 16), (level & 16) == 0 ? 15U : 0U);
    EXPECT_EQ(kept_of(plan, 0x2400, 1024), (level & 16) == 0 ? 1021U : 0U);
    EXPECT_EQ(kept_of(plan, 0x2840, 32), (level & 8) == 0 ? 31U : 0U);
    EXPECT_EQ(kept_of(plan, 0x2880, 8) + kept_of(plan, 0x2890, 8), 14U);
    EXPECT_EQ(plan.level_reached, level);
    EXPECT_TRUE(plan.remarks.empty()) << texts(plan.remarks);
  }
}

// Where none was poisoned a moment ago, first pages alone are looked at; these tell the same.
TEST(PageRules, WithoutPoisonFirstPagesDecide) {
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2001 hwpoison\n2400 hwpoison\n2500 free 10\n2840 anon 5\n");
  const FoundGuest found(guest);
  const auto plan_by = [&](bool without_poison) {
    return make_plan(*found.image.memory, &found.kernel(), 0, {.without_poison = without_poison},
                     {});
  };
  const auto looked_at = plan_by(false);
  const auto skipped = plan_by(true);
  ASSERT_TRUE(looked_at && skipped);
  EXPECT_EQ(count_of(*looked_at, PageClass::hwpoison), 2U);
  EXPECT_EQ(count_of(*skipped, PageClass::hwpoison), 1U);
  EXPECT_EQ(count_of(*skipped, PageClass::free), count_of(*looked_at, PageClass::free) + 1);
  EXPECT_EQ(count_of(*skipped, PageClass::user), count_of(*looked_at, PageClass::user));
}

// v6.3 to v6.5 have 6.1's struct page under other names.
TEST(PageRules, FolioMembers) {
  GuestBuilder guest("6.1");
  guest.vmcoreinfo("OFFSET(page.compound_order)", std::nullopt)
      .vmcoreinfo("OFFSET(page.compound_dtor)", std::nullopt)
      .vmcoreinfo("OFFSET(folio._folio_order)", "81")
      .vmcoreinfo("OFFSET(folio._folio_dtor)", "80");
  for (const Row& row : kRows) {
    guest.pages(row.page);
  }
  const Plan plan = plan_of(guest, 31);
  expect_rows(plan, 31);
  EXPECT_EQ(plan.level_reached, 31U);
}

// To v6.9 a slab page's counters lie where others have their type (struct slab), and may look like
// any.
TEST(PageRules, SlabPagesThatLookFree) {
  GuestBuilder guest("6.1");
  guest.pages("2020 slab\n2040 free\n");
  FoundGuest found(guest);
  found.memory().write_value(found.struct_page(guest, {0x2020}) + 48, std::int32_t{-129});
  const Plan plan = found.plan(31);
  EXPECT_EQ(kept_of(plan, 0x2020), 1U);
  EXPECT_EQ(count_of(plan, PageClass::slab), 1U);
  EXPECT_EQ(count_of(plan, PageClass::free), 1U);
}

// The bit of PG_swapcache is PG_owner_priv_1 of pages that are not swap backed (v4.10,
// 6326fec1122c).
TEST(PageRules, SwapCacheIsSwapBacked) {
  for (const bool exported : {true, false}) {
    GuestBuilder guest("6.1");
    guest.pages("2020 kernel\n2021 kernel\n2022 slab\n");
    if (!exported) {
      guest.vmcoreinfo("NUMBER(PG_swapbacked)", std::nullopt);
    }
    FoundGuest found(guest);
    constexpr std::uint64_t kSwapCache = 1U << 10;
    constexpr std::uint64_t kSwapBacked = 1U << 19;
    found.memory().write_value(found.struct_page(guest, {0x2020}), kSwapCache);
    found.memory().write_value(found.struct_page(guest, {0x2021}), kSwapCache | kSwapBacked);
    const Plan plan = found.plan(2);
    EXPECT_EQ(kept_of(plan, 0x2020), exported ? 1U : 0U);
    EXPECT_EQ(kept_of(plan, 0x2021), 0U);
    EXPECT_EQ(count_of(plan, PageClass::cache), exported ? 1U : 2U);
  }
}

TEST(PageRules, UnacceptedMemoryIsFree) {
  GuestBuilder guest("7.1");
  guest.pages("2400 unaccepted\n2017 slab");
  const FoundGuest found(guest);
  EXPECT_EQ(kept_of(found.plan(16), 0x2400, 1024), 0U);
  EXPECT_EQ(kept_of(found.plan(15), 0x2400, 1024), 1024U);
  EXPECT_EQ(count_of(found.plan(0), PageClass::unaccepted), 1024U);
}

// Struct pages that no kernel makes.
class Impossible : public ::testing::Test {
 protected:
  Impossible() : guest_("6.12"), found_(guest_.pages("2018 slab 3\n2020 slab 3")) {}
  void set(std::uint64_t pfn, std::uint64_t offset, std::uint64_t value) {
    found_.memory().write_value(found_.struct_page(guest_, {pfn}) + offset, value);
  }
  void set_mapcount(std::uint64_t pfn, std::uint32_t value) {
    found_.memory().write_value(found_.struct_page(guest_, {pfn}) + 48, value);
  }
  void make_free(std::uint64_t pfn, std::uint64_t order) {
    set(pfn, 40, order);
    set_mapcount(pfn, 0xf000'0000);
  }
  // A head on the LRU, whose second struct page says `order`.
  void make_cache(std::uint64_t pfn, std::uint64_t order, bool tail = true) {
    set(pfn, 0, (1U << 5) | 64);
    set(pfn + 1, 0, order);
    set(pfn + 1, 8, tail ? 1 : 0);
  }

  GuestBuilder guest_;
  FoundGuest found_;
};

TEST_F(Impossible, FreeOrders) {
  make_free(0x2800, 11);  // not below LENGTH(zone.free_area)
  make_free(0x2900, 64);  // a shift that is none
  make_free(0x2a00, 0xffff'ffff'ffff'ffff);
  make_free(0x2b01, 4);  // not aligned
  const Plan plan = found_.plan(31);
  EXPECT_EQ(plan.kept.count(), 0x4000U);
}

TEST_F(Impossible, CompoundOrdersCountAsOnePage) {
  make_cache(0x2800, 200);
  make_cache(0x2802, 3);         // not aligned
  make_cache(0x2900, 4, false);  // no tail follows
  const Plan plan = found_.plan(2);
  EXPECT_EQ(plan.kept.count(), 0x4000U - 3);
  EXPECT_EQ(kept_of(plan, 0x2800) + kept_of(plan, 0x2802) + kept_of(plan, 0x2900), 0U);
}

TEST_F(Impossible, AHeadAtTheEndOfTheMemmap) {
  set(0x7fff, 0, (1U << 5) | 64);
  set(0x3fff, 0, (1U << 5) | 64);
  EXPECT_EQ(found_.plan(2).kept.count(), 0x4000U - 1);
}

// A tail that looks like anything else is what its head is.
TEST_F(Impossible, TailsDoNotDecide) {
  set(0x2801, 0, 1U << 5);
  set(0x2801, 8, 1);
  set(0x2802, 24, 1);
  set(0x2802, 8, 1);
  EXPECT_EQ(found_.plan(31).kept.count(), 0x4000U);
}

}  // namespace
}  // namespace vmcore::filters
