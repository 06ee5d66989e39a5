// SPDX-License-Identifier: GPL-2.0-or-later
// Sections that are present, but not online.
#include "filters/plausibility.h"
#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;
using testing::PageKind;

constexpr std::uint64_t kSection = 0x8000;  // pages
constexpr unsigned kDevice = 4;             // ZONE_DEVICE

// Two sections of RAM, the second of which is offline. Of the first some pages are free.
GuestBuilder guest_of(std::string_view layout) {
  GuestBuilder guest(layout);
  guest.ram(256).pages("2000 free 4\n2020 slab\n").offline_section(1);
  return guest;
}

std::uint64_t kept_offline(const Plan& plan) { return kept_of(plan, kSection, kSection); }

TEST(Offline, LeftOutFromLevel16On) {
  for (const char* layout : {"5.4", "5.15", "6.1", "6.6", "6.12", "7.1"}) {
    GuestBuilder guest = guest_of(layout);
    // What was there before the section was taken offline, as stale struct pages still tell.
    guest.pages("8010 anon\n8011 cache\n8012 slab\n8400 free 10\n");
    const FoundGuest found(guest);
    for (const unsigned level : {0U, 1U, 8U, 15U, 16U, 17U, 31U}) {
      const Plan plan = found.plan(level);
      EXPECT_EQ(kept_offline(plan), level < 16 ? kSection : 0U) << layout << level;
      EXPECT_EQ(count_of(plan, PageClass::offline_section), kSection);
      EXPECT_EQ(plan.level_reached, level);
      EXPECT_TRUE(plan.remarks.empty()) << texts(plan.remarks);
      expect_classes_add_up(plan);
    }
  }
}

TEST(Offline, PoisonedAndBalloonedPagesStayOutAtEveryLevel) {
  GuestBuilder guest = guest_of("6.12");
  guest.pages("8010 hwpoison\n8020 offline\n");
  const Plan plan = plan_of(guest, 0);
  EXPECT_EQ(kept_offline(plan), kSection - 2);
  EXPECT_EQ(count_of(plan, PageClass::hwpoison), 1U);
  EXPECT_EQ(count_of(plan, PageClass::offline), 1U);
}

// CONFIG_DEBUG_VM: all bits of all flags are set, that of poisoned pages among them.
TEST(Offline, StructPagesThatAreFilledUp) {
  GuestBuilder guest = guest_of("6.1");
  FoundGuest found(guest);
  for (std::uint64_t pfn = kSection; pfn < 2 * kSection; ++pfn) {
    for (std::uint64_t at = 0; at < 64; at += 8) {
      found.memory().write_value(found.struct_page(guest, {pfn}) + at, ~std::uint64_t{0});
    }
  }
  EXPECT_EQ(kept_offline(found.plan(15)), kSection);
  EXPECT_EQ(kept_offline(found.plan(16)), 0U);
  EXPECT_EQ(count_of(found.plan(16), PageClass::offline_section), kSection);
}

// Never online: they hold what was in that memory before. Nothing that they say is believed.
TEST(Offline, StructPagesThatWereNeverWritten) {
  GuestBuilder guest = guest_of("6.12");
  FoundGuest found(guest);
  std::uint64_t word = 1;
  for (std::uint64_t pfn = kSection; pfn < 2 * kSection; ++pfn) {
    for (std::uint64_t at = 0; at < 64; at += 8) {
      word = word * 6364136223846793005 + 1442695040888963407;
      found.memory().write_value(found.struct_page(guest, {pfn}) + at, word);
    }
  }
  EXPECT_EQ(kept_offline(found.plan(15)), kSection);
  EXPECT_EQ(kept_offline(found.plan(16)), 0U);
  EXPECT_EQ(found.plan(31).level_reached, 31U);
}

TEST(Offline, MemoryOfDevicesIsJudgedByItsStructPages) {
  GuestBuilder guest = guest_of("6.12");
  guest.zone({{kSection}, kSection}, kDevice).pages("8010 anon\n");
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(kept_offline(plan), kSection - 1);
  EXPECT_EQ(count_of(plan, PageClass::offline_section), 0U);
  EXPECT_EQ(plan.level_reached, 31U);
}

TEST(Offline, MemoryOfDevicesInAPartOfTheSection) {
  GuestBuilder guest = guest_of("6.12");
  guest.zone({{kSection + 512}, 512}, kDevice);
  EXPECT_EQ(kept_offline(plan_of(guest, 31)), kSection);
  GuestBuilder less = guest_of("6.12");
  less.zone({{kSection + 512}, 511}, kDevice);
  EXPECT_EQ(kept_offline(plan_of(less, 31)), 0U);
}

// memmap_on_memory.
TEST(Offline, StructPagesInTheSectionAreKept) {
  GuestBuilder guest = guest_of("6.12");
  guest.memmap_in_section(1);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(kept_offline(plan), kSection);
  EXPECT_EQ(count_of(plan, PageClass::offline_section), 0U);
  EXPECT_EQ(plan.level_reached, 31U);
}

// Without a page that tells where zones stand in flags, memory of devices cannot be told.
TEST(Offline, DoubtsKeepAndSaySo) {
  GuestBuilder guest("6.12");
  guest.ram(256).pages("2020 slab\n").offline_section(1);
  const FoundGuest found(guest);
  const Plan plan = found.plan(31);
  EXPECT_EQ(kept_offline(plan), kSection);
  EXPECT_EQ(plan.level_reached, 15U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("32768 pages in offline memory blocks are kept"));
  EXPECT_EQ(found.plan(15).level_reached, 15U);
}

// A kernel whose own text is in no online section has another flag there.
TEST(Offline, AFlagThatIsNotUnderstood) {
  GuestBuilder guest = guest_of("6.12");
  guest.offline_section(0);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(kept_offline(plan), kSection);
  EXPECT_EQ(kept_of(plan, 0x2000, 16), 0U);
  EXPECT_EQ(plan.level_reached, 31U);
}

// The kernel's own pages in a section that says it is offline.
TEST(Offline, ClaimedPagesSwitchItOff) {
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(guest);
  const auto memmap = *kernel::read_memmap(found.kernel());
  const auto layout = *read_page_layout(found.kernel().info(), memmap.struct_page_size);
  Evidence evidence = gather_evidence(found.kernel(), memmap);
  evidence.kernel_pages.push_back({"log", {kSection + 7}});
  Census census;
  census.with_memmap.insert({{0}, 2 * kSection});
  census.pages[static_cast<std::size_t>(PageClass::offline_section)].insert({{kSection}, kSection});
  evidence.add(census);
  const Doubts doubts = doubts_about(evidence, found.kernel(), layout);
  EXPECT_NE(doubts.distrusted & mask_of(PageClass::offline_section), 0U);
  EXPECT_THAT(texts(doubts.remarks), HasSubstr("offline memory block pages are kept"));
}

TEST(Offline, WindowsAndThreadsAgree) {
  GuestBuilder guest = guest_of("7.1");
  const FoundGuest found(guest);
  EXPECT_EQ(found.plan(31, 4).kept.count(), found.plan(31, 1).kept.count());
}

}  // namespace
}  // namespace vmcore::filters
