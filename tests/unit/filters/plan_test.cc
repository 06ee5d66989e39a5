// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/plan.h"

#include "filters/page_runs.h"
#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;

// A guest's memory, and device memory that Linux has no struct page for; or another range of it
// that is of another kind.
class WithDevice : public PhysicalMemory {
 public:
  WithDevice(const PhysicalMemory& guest, PhysRange device, Presence kind = Presence::data)
      : guest_(guest), device_(device), kind_(kind) {}
  Extent extent(PhysAddr address) const override {
    if (device_.contains(address)) {
      return {{address, device_.end() - address}, kind_};
    }
    Extent extent = guest_.extent(address);
    if (address < device_.begin && extent.range.end() > device_.begin) {
      extent.range.size = device_.begin - address;
    }
    return extent;
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    return guest_.read(address, out);
  }

 private:
  const PhysicalMemory& guest_;
  PhysRange device_;
  Presence kind_;
};

// A guest's memory whose source fails once it is told to.
class Failing : public PhysicalMemory {
 public:
  explicit Failing(std::unique_ptr<PhysicalMemory> guest) : guest_(std::move(guest)) {}
  void fail_with(Errc code) { code_ = code; }
  Extent extent(PhysAddr address) const override { return guest_->extent(address); }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    return code_ ? fail(*code_, "the source failed") : guest_->read(address, out);
  }

 private:
  std::unique_ptr<PhysicalMemory> guest_;
  std::optional<Errc> code_;
};

TEST(Plan, WithoutAKernelOnlyZeroPagesGo) {
  GuestBuilder guest("6.12");
  const MemoryImage image = guest.pages("2000 free 4\n2010 anon").build();
  const auto plan = make_plan(*image.memory, nullptr, 0, {.level = 31}, {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->kept.count(), 0x4000U);
  EXPECT_EQ(plan->level_asked, 31U);
  EXPECT_EQ(plan->level_reached, 1U);
  EXPECT_THAT(texts(plan->remarks), HasSubstr("may contain user data"));
}

TEST(Plan, WithoutAKernelLowLevelsAreReached) {
  GuestBuilder guest("6.12");
  const MemoryImage image = guest.build();
  for (const unsigned level : {0U, 1U}) {
    const auto plan = make_plan(*image.memory, nullptr, 0, {.level = level}, {});
    EXPECT_EQ(plan->level_reached, level);
    EXPECT_TRUE(plan->remarks.empty());
  }
}

TEST(Plan, WithoutAMemmapTheReasonIsTold) {
  GuestBuilder guest("6.12");
  guest.vmcoreinfo("SIZE(mem_section)", std::nullopt);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 1U);
  EXPECT_EQ(plan.kept.count(), 0x4000U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("SIZE(mem_section)"));
}

// All but what a kernel can be blamed for.
TEST(Plan, AFailingSourceIsNoPlan) {
  for (const Errc code : {Errc::guest_state, Errc::io, Errc::truncated, Errc::denied, Errc::busy}) {
    GuestBuilder guest("6.12");
    MemoryImage image = guest.build();
    auto failing = std::make_unique<Failing>(std::move(image.memory));
    Failing& memory = *failing;
    image.memory = std::move(failing);
    const auto found = kernel::find_kernels(image, kernel::Search::registers);
    ASSERT_EQ(found->kernels.size(), 1U);
    memory.fail_with(code);
    const auto plan = make_plan(memory, &found->kernels.front(), 0, {.level = 31}, {});
    ASSERT_FALSE(plan) << errc_name(code);
    EXPECT_EQ(plan.error().code, code);
  }
}

TEST(Plan, MemoryWithoutMemmapGoesFromLevel8OnAndIsNamed) {
  GuestBuilder guest("6.12");
  guest.pages("2017 slab");
  const FoundGuest found(guest);
  const WithDevice memory(*found.image.memory, {{0xfd00'0000}, 0x100'0000});
  for (const unsigned level : {0U, 4U, 7U, 8U, 16U, 31U}) {
    const auto plan = make_plan(memory, &found.kernel(), 0, {.level = level}, {});
    ASSERT_TRUE(plan);
    EXPECT_EQ(kept_of(*plan, 0xf'd000, 0x1000), level < 8 ? 0x1000U : 0U) << level;
    EXPECT_EQ(count_of(*plan, PageClass::no_memmap), 0x1000U);
    EXPECT_EQ(plan->level_reached, level);
    EXPECT_THAT(texts(plan->remarks), HasSubstr("0xfd000000-0xfdffffff"));
    EXPECT_THAT(texts(plan->remarks), HasSubstr(level < 8 ? "is kept" : "is left out"));
  }
}

TEST(Classify, EachPageIsInOneClassAndThePlanIsTheSame) {
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2010 anon\n2011 cache\n2017 slab\n2018 slab 3\n2080 hwpoison");
  const FoundGuest found(guest);
  const WithDevice memory(*found.image.memory, {{0xfd00'0000}, 0x100'0000});
  for (const unsigned level : {0U, 31U}) {
    const auto classified = classify(memory, found.kernel(), 0, {.level = level}, {});
    const auto plan = make_plan(memory, &found.kernel(), 0, {.level = level}, {});
    ASSERT_TRUE(classified && plan);
    std::uint64_t sum = 0;
    PageSet all;
    for (std::size_t i = 0; i < kPageClasses; ++i) {
      const PageSet& pages = classified->classes[i];
      EXPECT_EQ(pages.count(), plan->pages_by_class[i]) << kClassNames[i].name;
      sum += pages.count();
      all.insert(pages);
    }
    EXPECT_EQ(sum, 0x4000U + 0x1000);  // the device too, which level 31 has no more as RAM
    EXPECT_EQ(all.count(), sum);
    const auto in = [&](PageClass page_class, std::uint64_t pfn) {
      return classified->classes[static_cast<std::size_t>(page_class)].contains({pfn});
    };
    EXPECT_TRUE(in(PageClass::kernel, 0x2020) && in(PageClass::free, 0x200f) &&
                in(PageClass::user, 0x2010) && in(PageClass::cache, 0x2011) &&
                in(PageClass::slab, 0x2017) && in(PageClass::slab, 0x201f) &&
                in(PageClass::hwpoison, 0x2080) && in(PageClass::no_memmap, 0xf'd000));
    EXPECT_EQ(classified->plan.kept.count(), plan->kept.count());
    EXPECT_EQ(classified->plan.level_reached, plan->level_reached);
    EXPECT_EQ(texts(classified->plan.remarks), texts(plan->remarks));
  }
}

TEST(Classify, WithoutAMemmapItFailsWithTheReason) {
  GuestBuilder guest("6.12");
  guest.vmcoreinfo("SIZE(mem_section)", std::nullopt);
  const FoundGuest found(guest);
  const auto classified = classify(*found.image.memory, found.kernel(), 0, {}, {});
  ASSERT_FALSE(classified);
  EXPECT_THAT(classified.error().message, HasSubstr("SIZE(mem_section)"));
}

TEST(Plan, WhatIsLostWithTheEndOfAFileIsNotTriedAndCounted) {
  GuestBuilder guest("6.12");
  guest.pages("2017 slab\n3000 free 9\n3200 anon\n3201 kernel");
  const FoundGuest found(guest);
  const WithDevice memory(*found.image.memory, {{0x300'0000}, 16 << 20}, Presence::lost);
  const auto plan = make_plan(memory, &found.kernel(), 0, {.level = 31}, {});
  ASSERT_TRUE(plan);
  EXPECT_EQ(kept_of(*plan, 0x3000, 0x1000), 0U);
  EXPECT_TRUE(plan->ram.contains({0x3201}));
  EXPECT_TRUE(plan->lost.contains({0x3201}));
  EXPECT_EQ(plan->lost.count(), 0x1000U - 0x200 - 1);  // the others would have been left out
  EXPECT_EQ(plan->excluded_before, 0U);
  EXPECT_EQ(make_plan(memory, nullptr, 0, {.level = 31}, {})->lost.count(), 0x1000U);
}

TEST(Plan, APageThatIsLostInPartIsTried) {
  GuestBuilder guest("6.12");
  const FoundGuest found(guest);
  const WithDevice memory(*found.image.memory, {{0x3f0'0800}, 0x2000}, Presence::lost);
  const auto plan = make_plan(memory, nullptr, 0, {.level = 0}, {});
  EXPECT_EQ(kept_of(*plan, 0x3f00, 3), 2U);
  EXPECT_EQ(plan->lost.count(), 1U);
}

// The page of struct pages that describes `pfn`.
Pfn memmap_page_of(std::string_view layout, std::uint64_t pfn) {
  GuestBuilder guest(layout);
  const FoundGuest found(guest);
  return {found.struct_page(guest, {pfn}).value / 4096};
}

TEST(Plan, PagesWhoseStructPageIsMissingAreKept) {
  const Pfn missing = memmap_page_of("6.12", 0x2000);  // describes 64 pages
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2010 anon\n2030 anon\n2040 anon\n2080 slab").excluded(missing);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(kept_of(plan, 0x2000, 64), 64U);
  EXPECT_EQ(kept_of(plan, 0x2040), 0U);
  EXPECT_EQ(plan.level_reached, 1U);  // who knows what they hold
  EXPECT_THAT(texts(plan.remarks), HasSubstr("struct pages of 64 pages"));
}

// As memory without a memmap, their pages would be left out.
TEST(Plan, PagesOfASectionThatPointsToNoKernelAddressAreKept) {
  constexpr std::uint64_t kPresentWithMemmap = 3;
  for (const std::uint64_t pointer : {0x0000'ea00'0000'0000ULL, 0ULL, 0x8000'0000'0000'0000ULL}) {
    GuestBuilder guest("6.12");
    guest.ram(384).pages("2017 slab\n2010 anon\n9000 anon\n11000 anon");
    FoundGuest found(guest);
    found.set_section(guest, 2, pointer | kPresentWithMemmap);
    const Plan plan = found.plan(31);
    EXPECT_EQ(kept_of(plan, 0x1'0000, 0x8000), 0x8000U) << pointer;
    EXPECT_EQ(kept_of(plan, 0x2010) + kept_of(plan, 0x9000), 0U);
    EXPECT_EQ(count_of(plan, PageClass::no_memmap), 0U);
    EXPECT_EQ(plan.level_reached, 1U);
    EXPECT_THAT(texts(plan.remarks), HasSubstr("struct pages of 32768 pages"));
  }
}

TEST(Plan, MissingStructPagesOfPagesThatAreGoneDoNotMatter) {
  const Pfn missing = memmap_page_of("6.12", 0x2000);
  GuestBuilder guest("6.12");
  guest.pages("2080 slab").excluded(missing);
  for (std::uint64_t pfn = 0x2000; pfn < 0x2040; ++pfn) {
    guest.excluded({pfn});
  }
  EXPECT_EQ(plan_of(guest, 31).level_reached, 31U);
}

TEST(Plan, FilteringAgainBringsNothingBack) {
  GuestBuilder guest("6.12");
  guest.pages("2000 free 4\n2010 anon\n2011 anon\n2017 slab").excluded({0x2010});
  const Plan plan = FoundGuest(guest).plan(16, 1, 8);
  EXPECT_EQ(kept_of(plan, 0x2010), 0U);
  EXPECT_EQ(kept_of(plan, 0x2011), 1U);
  EXPECT_EQ(kept_of(plan, 0x2000, 16), 0U);
  EXPECT_EQ(plan.excluded_before, 1U);
  EXPECT_EQ(plan.level_reached, 24U);
  EXPECT_TRUE(plan.ram.contains({0x2010}));
}

TEST(Plan, TheSourcesLevelIsBounded) {
  GuestBuilder guest("6.12");
  guest.pages("2017 slab");
  EXPECT_EQ(FoundGuest(guest).plan(1, 1, 0xffff'ffff).level_reached, 31U);
}

TEST(Plan, StopsWhenAsked) {
  GuestBuilder guest("6.12");
  const FoundGuest found(guest);
  std::stop_source stop;
  stop.request_stop();
  const auto plan = make_plan(*found.image.memory, &found.kernel(), 0, {}, stop.get_token());
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Errc::cancelled);
}

}  // namespace
}  // namespace vmcore::filters
