// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/census.h"

#include "filters/page_runs.h"
#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;

PageSet all_ram(const PhysicalMemory& memory) {
  PageSet ram;
  const RangeSet ranges = ram_ranges(memory);
  for (const PhysRange& range : ranges.ranges()) {
    ram.insert({{range.begin.value / 4096}, range.size / 4096});
  }
  return ram;
}

Census census_of(const FoundGuest& found, const kernel::Memmap& memmap, unsigned threads = 1) {
  const auto layout = read_page_layout(found.kernel().info(), memmap.struct_page_size);
  auto census = take_census(found.kernel(), memmap, *layout, all_ram(*found.image.memory), {},
                            {.threads = threads}, {});
  EXPECT_TRUE(census) << census.error().message;
  return *std::move(census);
}

std::uint64_t pages_of(const Census& census, PageClass page_class) {
  return census.pages[static_cast<std::size_t>(page_class)].count();
}

TEST(Census, TellsWhatTheChecksNeed) {
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2010 slab\n2018 slab 3\n2200 hugetlb 9\n2400 compound 2");
  const FoundGuest found(guest);
  const Census census = census_of(found, *kernel::read_memmap(found.kernel()));
  EXPECT_EQ(census.seen.heads, 3U);
  EXPECT_EQ(census.seen.with_tail, 3U);
  EXPECT_EQ(census.seen.slab, 2U);
  EXPECT_EQ(census.seen.free, 16U);
  EXPECT_EQ(census.unreadable.count(), 0U);
  EXPECT_EQ(census.with_memmap.count(), 0x4000U);
}

TEST(Census, OnlyRamCounts) {
  GuestBuilder guest("6.12");
  guest.ram(60).pages("2017 slab");
  const FoundGuest found(guest);
  const Census census = census_of(found, *kernel::read_memmap(found.kernel()));
  EXPECT_EQ(census.with_memmap.count(), 60U * 256);
}

// A gigantic page may cover blocks whose own struct pages say otherwise.
TEST(Census, ClassesAreDisjoint) {
  GuestBuilder guest("6.12");
  guest.ram(256).pages("2017 slab\n9000 anon\n9001 cache\na000 free 4");
  FoundGuest found(guest);
  found.memory().write_value(found.struct_page(guest, {0}), std::uint64_t{(1U << 5) | 64});
  found.memory().write_value(found.struct_page(guest, {1}), std::uint64_t{18});
  found.memory().write_value(found.struct_page(guest, {1}) + 8, std::uint64_t{1});
  const auto memmap = *kernel::read_memmap(found.kernel());
  for (const unsigned threads : {1U, 3U}) {
    const Census census = census_of(found, memmap, threads);
    EXPECT_EQ(pages_of(census, PageClass::free), 16U);
    EXPECT_EQ(pages_of(census, PageClass::cache), 0x1'0000U - 16);
    EXPECT_EQ(pages_of(census, PageClass::user), 0U);
  }
  expect_classes_add_up(found.plan(31));
}

// Sections that claim 64 TiB cost neither reads nor memory where there is no RAM.
TEST(Census, AMemmapFarLargerThanRam) {
  GuestBuilder guest("6.12");
  guest.pages("2017 slab\n2000 free 4");
  const FoundGuest found(guest);
  kernel::Memmap memmap = *kernel::read_memmap(found.kernel());
  memmap.runs.front().count = kMaxPhysAddr / 4096;
  const Census census = census_of(found, memmap, 2);
  EXPECT_EQ(census.with_memmap.count(), 0x4000U);
  EXPECT_EQ(pages_of(census, PageClass::free), 16U);
}

TEST(Census, StopsWhenAsked) {
  GuestBuilder guest("6.12");
  const FoundGuest found(guest);
  const auto memmap = *kernel::read_memmap(found.kernel());
  const auto layout = read_page_layout(found.kernel().info(), 64);
  std::stop_source stop;
  stop.request_stop();
  const auto census =
      take_census(found.kernel(), memmap, *layout, PageSet(), {}, {.threads = 2}, stop.get_token());
  ASSERT_FALSE(census);
  EXPECT_EQ(census.error().code, Errc::cancelled);
}

TEST(PageRuns, VisitsAndErases) {
  PageSet set;
  set.insert({{10}, 5});
  set.insert({{100}, 1});
  std::vector<PfnRange> runs;
  for_each_run(set, [&](PfnRange run) { runs.push_back(run); });
  EXPECT_EQ(runs, (std::vector<PfnRange>{{{10}, 5}, {{100}, 1}}));
  PageSet all;
  all.insert({{0}, 200});
  all.erase(set);
  EXPECT_EQ(all.count(), 194U);
}

}  // namespace
}  // namespace vmcore::filters
