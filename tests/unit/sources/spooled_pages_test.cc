// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/spooled_pages.h"

#include <gtest/gtest.h>

#include "src/base/sys.h"
#include "src/image/page.h"
#include "src/sources/spool.h"

namespace vmcore::sources {
namespace {

// RAM from page 0 to 99 and from 200 to 299; kept: 10 to 49 and 290 to 299; had: 10 to 29 and 290
// to 294, of which 20 to 24 are zeros.
SpooledPages make_pages() {
  PageSet ram, kept, had;
  ram.insert({{0}, 100});
  ram.insert({{200}, 100});
  kept.insert({{10}, 40});
  kept.insert({{290}, 10});
  had.insert({{10}, 20});
  had.insert({{290}, 5});
  Fd file = *make_memory_file("spool");
  std::vector<std::byte> data(20 * kPageSize, std::byte{7});
  std::fill_n(data.begin() + 10 * kPageSize, 5 * kPageSize, std::byte{0});
  EXPECT_TRUE(write_sparse(file.get(), data, 10 * kPageSize));
  EXPECT_TRUE(write_sparse(file.get(), std::span(data).first(5 * kPageSize), 290 * kPageSize));
  EXPECT_TRUE(sys::truncate(file.get(), 295 * kPageSize));
  return {*formats::open_plain(std::move(file)), std::move(ram), std::move(kept), std::move(had)};
}

TEST(SpooledPages, EveryAddressIsOfOneKind) {
  const SpooledPages pages = make_pages();
  const std::vector<std::pair<std::uint64_t, Presence>> wanted{
      {10, Presence::excluded},
      {20, Presence::data},
      {25, Presence::zero},
      {30, Presence::data},
      {50, Presence::lost},
      {100, Presence::excluded},
      {200, Presence::absent},
      {290, Presence::excluded},
      {295, Presence::data},
      {300, Presence::lost},
      {kMaxPhysAddr / kPageSize, Presence::absent}};
  PhysAddr at{0};
  for (const auto& [end, presence] : wanted) {
    const Extent extent = pages.extent(at);
    EXPECT_EQ(extent.range.begin, at);
    EXPECT_EQ(extent.range.end().value, end * kPageSize);
    EXPECT_EQ(presence_name(extent.presence), presence_name(presence)) << end;
    at = extent.range.end();
  }
  EXPECT_EQ(pages.outline({10 * kPageSize}).range.size, 20 * kPageSize);
  EXPECT_EQ(pages.presence({22 * kPageSize}), Presence::data);
  EXPECT_EQ(pages.extent({12 * kPageSize + 5}).range.size, 8 * kPageSize - 5);
}

TEST(SpooledPages, IsReadUpToTheFirstPageThatIsNotThere) {
  const SpooledPages pages = make_pages();
  std::vector<std::byte> bytes(30 * kPageSize);
  const auto whole = pages.read({12 * kPageSize}, std::span(bytes).first(18 * kPageSize));
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->good, 18 * kPageSize);
  EXPECT_FALSE(whole->first_bad);
  EXPECT_EQ(bytes[0], std::byte{7});
  EXPECT_EQ(bytes[9 * kPageSize], std::byte{0});
  const auto part = pages.read({29 * kPageSize + 100}, bytes);
  EXPECT_EQ(part->good, kPageSize - 100);
  EXPECT_EQ(part->first_bad, PhysAddr{30 * kPageSize});
  for (const std::uint64_t none : {5U, 40U, 150U, 296U, 5000U}) {
    const auto nothing = pages.read({none * kPageSize + 8}, std::span(bytes).first(16));
    EXPECT_EQ(nothing->good, 0U);
    EXPECT_EQ(nothing->first_bad, PhysAddr{none * kPageSize});
  }
}

PageSet all_of(std::uint64_t pages) {
  PageSet all;
  all.insert({{0}, pages});
  return all;
}

TEST(SpooledPages, AFileThatShrinksIsShort) {
  Fd file = *make_memory_file("spool");
  ASSERT_TRUE(sys::truncate(file.get(), 4 * kPageSize));
  const Fd again = *duplicate(file.get());
  const SpooledPages pages(*formats::open_plain(std::move(file)), all_of(4), all_of(4), all_of(4));
  ASSERT_TRUE(sys::truncate(again.get(), 2 * kPageSize));
  std::vector<std::byte> bytes(4 * kPageSize);
  EXPECT_EQ(pages.read({0}, bytes)->first_bad, PhysAddr{2 * kPageSize});
}

}  // namespace
}  // namespace vmcore::sources
