// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/listed_pages.h"

#include "tests/builders/kernel_fuzz.h"
#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;
using testing::PageKind;

constexpr std::uint64_t kRefcount = 52;  // in struct page
constexpr std::uint64_t kLinks = 8;

GuestBuilder guest_of(std::string_view layout) {
  GuestBuilder guest(layout);
  guest.pages("2000 free 10\n2400 anon\n2401 cache\n2402 slab\n2410 slab 2\n");
  return guest;
}

// Two lists of CPU 0 and one of CPU 2.
GuestBuilder& with_lists(GuestBuilder& guest) {
  return guest.listed(0, 0, {{0x2500}, {0x2508}, {0x2503}})
      .listed(0, 1, {{0x2600}})
      .listed(2, 2, {{0x2701}, {0x2700}});
}

constexpr std::uint64_t kOfCpu0[] = {0x2500, 0x2508, 0x2503, 0x2600};
constexpr std::uint64_t kOfCpu2[] = {0x2701, 0x2700};

std::uint64_t kept_among(const Plan& plan, std::span<const std::uint64_t> pages) {
  std::uint64_t kept = 0;
  for (const std::uint64_t page : pages) {
    kept += kept_of(plan, page);
  }
  return kept;
}

TEST(ListedPages, AreFreePages) {
  for (const char* layout : {"5.4", "5.15", "6.1", "6.6", "6.12", "7.1"}) {
    GuestBuilder guest = guest_of(layout);
    const FoundGuest found(with_lists(guest));
    for (const unsigned level : {0U, 15U}) {
      const Plan plan = found.plan(level);
      EXPECT_EQ(kept_among(plan, kOfCpu0) + kept_among(plan, kOfCpu2), 6U) << layout;
      EXPECT_EQ(count_of(plan, PageClass::free), 1024U + 6) << layout;
    }
    for (const unsigned level : {16U, 31U}) {
      const Plan plan = found.plan(level);
      EXPECT_EQ(kept_among(plan, kOfCpu0) + kept_among(plan, kOfCpu2), 0U) << layout;
      EXPECT_EQ(kept_of(plan, 0x2501), 1U) << layout;
      EXPECT_EQ(plan.level_reached, level) << layout;
      EXPECT_TRUE(plan.remarks.empty()) << texts(plan.remarks);
      expect_classes_add_up(plan);
    }
  }
}

// Since v5.14 the lists from the fourth on are of higher orders.
TEST(ListedPages, ABlockIsAllItsPages) {
  for (const char* layout : {"5.15", "6.12"}) {
    GuestBuilder guest = guest_of(layout);
    guest
        .listed(1, 4, {{0x2500}, {0x2502}})   // of order 1
        .listed(1, 11, {{0x2610}, {0x2608}})  // of order 3
        .listed(1, 13, {{0x2a00}});           // of order 9
    const Plan plan = plan_of(guest, 31);
    EXPECT_EQ(kept_of(plan, 0x2500, 4), 0U) << layout;
    EXPECT_EQ(kept_of(plan, 0x2504), 1U) << layout;
    EXPECT_EQ(kept_of(plan, 0x2608, 16), 0U) << layout;
    EXPECT_EQ(kept_of(plan, 0x2a00, 512), 0U) << layout;
    EXPECT_EQ(count_of(plan, PageClass::free), 1024U + 4 + 16 + 512) << layout;
  }
}

TEST(ListedPages, AreKeptOfAGuestThatRan) {
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(with_lists(guest));
  const auto plan =
      make_plan(*found.image.memory, &found.kernel(), 0, {.level = 31, .torn = true}, {});
  EXPECT_EQ(kept_among(*plan, kOfCpu0), 4U);
  EXPECT_EQ(count_of(*plan, PageClass::free), 1024U);
  EXPECT_EQ(plan->level_reached, 31U);
}

TEST(ListedPages, NoneWithoutTypes) {
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(guest);
  const auto memmap = *kernel::read_memmap(found.kernel());
  const auto layout = *read_page_layout(found.kernel().info(), 64);
  EXPECT_EQ(read_listed_pages(found.kernel(), memmap, layout, {{0}, 1 << 20}, {}).error().code,
            Errc::not_found);
}

TEST(ListedPages, OnlyThoseOfTheRange) {
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(with_lists(guest));
  const auto memmap = *kernel::read_memmap(found.kernel());
  const auto layout = *read_page_layout(found.kernel().info(), 64);
  const auto listed =
      read_listed_pages(found.kernel(), memmap, layout, {{0x2503}, 0x2601 - 0x2503}, {});
  ASSERT_TRUE(listed) << listed.error().message;
  EXPECT_EQ(listed->pages.count(), 3U);
  EXPECT_EQ(listed->broken_sets, 0U);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(
      read_listed_pages(found.kernel(), memmap, layout, {{0}, 1}, stop.get_token()).error().code,
      Errc::cancelled);
}

// What may be wrong with the lists of CPU 0.
struct Wrong {
  const char* what;
  void (*make)(FoundGuest& found, const GuestBuilder& guest);
};

PhysAddr head_of(const GuestBuilder& guest, std::uint64_t list) {
  return guest.lists_of(0) + (32 + list * 16);
}
std::uint64_t entry_of(const GuestBuilder& guest, std::uint64_t pfn) {
  return guest.vmemmap().value + pfn * 64 + kLinks;
}

void set_count(FoundGuest& found, const GuestBuilder& guest, std::int32_t count) {
  found.memory().write_value(guest.lists_of(0) + 4, count);
}
void set_page(FoundGuest& found, const GuestBuilder& guest, std::uint64_t pfn, std::uint64_t offset,
              std::uint64_t value) {
  found.memory().write_value(found.struct_page(guest, {pfn}) + offset, value);
}

const Wrong kWrong[] = {
    {"one less is counted", [](auto& found, auto& guest) { set_count(found, guest, 3); }},
    {"one more is counted", [](auto& found, auto& guest) { set_count(found, guest, 5); }},
    {"less than none is counted", [](auto& found, auto& guest) { set_count(found, guest, -4); }},
    {"a cycle that leaves the head out",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2503, kLinks, entry_of(guest, 0x2500));
     }},
    {"an entry that leads to itself",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2508, kLinks, entry_of(guest, 0x2508));
     }},
    {"an entry that leads back elsewhere",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2508, kLinks + 8, entry_of(guest, 0x2503));
     }},
    {"the head leads back elsewhere",
     [](auto& found, auto& guest) {
       found.memory().write_value(head_of(guest, 0) + 8, entry_of(guest, 0x2508));
     }},
    {"a list that goes on in the list of another CPU",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2503, kLinks, entry_of(guest, 0x2701));
     }},
    {"outside of the memmap",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2503, kLinks, guest.page_offset().value + 0x250'3008);
     }},
    {"behind the memmap",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2503, kLinks, entry_of(guest, std::uint64_t{1} << 20));
     }},
    {"not where a struct page begins",
     [](auto& found, auto& guest) {
       set_page(found, guest, 0x2503, kLinks, entry_of(guest, 0x2509) + 8);
     }},
    {"nowhere", [](auto& found, auto& guest) { set_page(found, guest, 0x2503, kLinks, 0); }},
    {"a page with references",
     [](auto& found, auto& guest) {
       found.memory().write_value(found.struct_page(guest, {0x2503}) + kRefcount, 1);
     }},
    {"a page that is a process's",
     [](auto& found, auto& guest) { set_page(found, guest, 0x2600, 24, 0x1235'0001); }},
    {"a page that is slab",
     [](auto& found, auto& guest) {
       found.memory().write_value(found.struct_page(guest, {0x2600}) + 48, 0xf500'0000U);
     }},
    {"a head of a compound",
     [](auto& found, auto& guest) { set_page(found, guest, 0x2600, 0, 64); }},
};

TEST(ListedPages, NoneOfASetThatDisagreesWithItself) {
  for (const Wrong& wrong : kWrong) {
    GuestBuilder guest = guest_of("6.12");
    FoundGuest found(with_lists(guest));
    wrong.make(found, guest);
    const Plan plan = found.plan(31);
    std::uint64_t kept = kept_among(plan, kOfCpu0);
    // A page that has become a process's goes as such.
    kept += std::string_view(wrong.what).ends_with("process's") ? 1U : 0U;
    EXPECT_EQ(kept, 4U) << wrong.what;
    EXPECT_EQ(kept_among(plan, kOfCpu2), 0U) << wrong.what;
    EXPECT_EQ(plan.level_reached, 31U) << wrong.what;
  }
}

TEST(ListedPages, WhatIsKeptIsSaid) {
  GuestBuilder guest = guest_of("6.12");
  FoundGuest found(with_lists(guest));
  set_count(found, guest, 5);
  EXPECT_THAT(texts(found.plan(31).remarks), HasSubstr("about 5 freed pages are kept"));
  EXPECT_TRUE(found.plan(15).remarks.empty());
}

TEST(ListedPages, ABlockThatIsNotAlignedOrPartlyUsed) {
  for (const bool aligned : {false, true}) {
    GuestBuilder guest = guest_of("6.12");
    guest.listed(0, 7, {{aligned ? 0x2504U : 0x2502U}});  // of order 2
    FoundGuest found(guest);
    if (aligned) {
      EXPECT_EQ(kept_of(found.plan(31), 0x2504, 4), 0U);
      found.memory().write_value(found.struct_page(guest, {0x2507}) + kRefcount, 1);
    }
    EXPECT_EQ(kept_of(found.plan(31), 0x2500, 16), 16U);
  }
}

// A page that is not in use, but poisoned: it is left out at every level.
TEST(ListedPages, APoisonedPageStaysPoisoned) {
  GuestBuilder guest = guest_of("6.12");
  FoundGuest found(with_lists(guest));
  set_page(found, guest, 0x2600, 0, 1 << 20);
  const Plan plan = found.plan(31);
  EXPECT_EQ(kept_among(plan, kOfCpu0), 0U);
  EXPECT_EQ(count_of(plan, PageClass::hwpoison), 1U);
  EXPECT_EQ(count_of(plan, PageClass::free), 1024U + 5);
  expect_classes_add_up(plan);
}

TEST(ListedPages, ACpuThatCannotBeReadIsLeftOut) {
  GuestBuilder sound = guest_of("6.12");
  const FoundGuest whole(with_lists(sound));
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(with_lists(guest).excluded({sound.lists_of(0).value / 4096}));
  const Plan plan = found.plan(31);
  EXPECT_EQ(kept_among(plan, kOfCpu0), 4U);
  EXPECT_EQ(kept_among(plan, kOfCpu2), 0U);
}

// Lists and struct pages with some words changed: at random, or to the address of another entry.
TEST(ListedPages, HostileWordsAreHarmless) {
  std::uint64_t state = 1;
  const auto random = [&state] {
    return state = state * 6364136223846793005 + 1442695040888963407;
  };
  for (unsigned round = 0; round < 300; ++round) {
    std::vector<std::uint8_t> input{static_cast<std::uint8_t>(round % 3), 3};
    for (unsigned word = 0; word < 3; ++word) {
      const std::uint64_t place = 0xf000 | random() >> 52;
      const std::uint64_t entry = 0xffff'ea00'0000'c008 + (random() >> 62) * 64;
      const std::uint64_t value = word == 0 ? random() : entry;
      for (unsigned byte = 0; byte < 10; ++byte) {
        input.push_back(
            static_cast<std::uint8_t>(byte < 2 ? place >> 8 * byte : value >> 8 * (byte - 2)));
      }
    }
    const MemoryImage image = testing::fuzzed_image(input);
    const auto found = kernel::find_kernels(image, kernel::Search::registers);
    ASSERT_FALSE(found->kernels.empty());
    const auto plan = make_plan(*image.memory, &found->kernels.front(), 0, {}, {});
    ASSERT_TRUE(plan) << plan.error().message;
    EXPECT_LE(plan->kept_pages, plan->ram_pages) << round;
    expect_classes_add_up(*plan);
  }
}

}  // namespace
}  // namespace vmcore::filters
