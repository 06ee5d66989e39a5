// SPDX-License-Identifier: GPL-2.0-or-later
// Each break of the past, made again: the classes that it would spoil are kept, and it is said.
#include "filters/plausibility.h"

#include "tests/unit/filters/planned_guest.h"

namespace vmcore::filters {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;
using testing::PageKind;

constexpr std::string_view kPages =
    "2000 free 10\n2400 free 10\n2800 free 10\n2c00 free 10\n3000 free 10\n"
    "3400 anon\n3401 cache\n3402 private_cache\n3403 slab\n3410 anon 2\n3418 slab 3\n";
constexpr std::uint64_t kFree = 5 * 1024;  // more than what the counters may be off by

GuestBuilder guest_of(std::string_view layout) {
  GuestBuilder guest(layout);
  guest.pages(kPages);
  return guest;
}

TEST(Plausibility, ASoundGuestIsBelieved) {
  for (const char* layout : {"5.4", "6.1", "6.12", "7.1"}) {
    GuestBuilder guest = guest_of(layout);
    const Plan plan = plan_of(guest, 31);
    EXPECT_EQ(plan.level_reached, 31U);
    EXPECT_TRUE(plan.remarks.empty()) << texts(plan.remarks);
  }
}

// v6.12 made page types values: with the number of before, no free page is found.
TEST(Plausibility, FreePagesThatAreNotFound) {
  GuestBuilder guest = guest_of("6.12");
  guest.vmcoreinfo("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-129");
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 15U);
  EXPECT_EQ(kept_of(plan, 0x2000, kFree), kFree);
  EXPECT_EQ(kept_of(plan, 0x3400), 0U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("only 0 of the 5120 free pages"));
}

TEST(Plausibility, FreePagesWithoutTheirType) {
  GuestBuilder guest = guest_of("6.1");
  guest.vmcoreinfo("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", std::nullopt);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 15U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("PAGE_BUDDY_MAPCOUNT_VALUE"));
}

TEST(Plausibility, FarMoreFreePagesThanTheKernelLists) {
  GuestBuilder guest = guest_of("6.12");
  guest.free_lists(1);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 15U);
  EXPECT_EQ(kept_of(plan, 0x2000, kFree), kFree);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("5120 look free, the kernel counts 1"));
}

// Blocks that are being taken offline, or that CMA or virtio-mem allocate from.
TEST(Plausibility, FreePagesOfIsolatedBlocksAreListed) {
  for (const char* layout : {"5.4", "6.1", "6.12", "7.1"}) {
    GuestBuilder guest = guest_of(layout);
    guest.isolated({0x2000}).isolated({0x2400}).isolated({0x2800}).isolated({0x2c00}).isolated(
        {0x3000});
    const Plan plan = plan_of(guest, 31);
    EXPECT_EQ(plan.level_reached, 31U);
    EXPECT_TRUE(plan.remarks.empty()) << texts(plan.remarks);
    EXPECT_EQ(kept_of(plan, 0x2000, kFree), 0U);
  }
}

// The ways by which VMCOREINFO does not lead to the lists.
constexpr std::pair<const char*, std::optional<std::string_view>> kNoLists[] = {
    {"SIZE(free_area)", std::nullopt},
    {"SIZE(free_area)", "80"},  // no room for nr_free
    {"SIZE(free_area)", "18446744073709551615"},
    {"SIZE(list_head)", "8"},
    {"OFFSET(zone.free_area)", std::nullopt},
    {"OFFSET(zone.free_area)", "18446744073709551600"},
    {"OFFSET(free_area.free_list)", "18446744073709551600"},
    {"LENGTH(zone.free_area)", std::nullopt},
    {"LENGTH(free_area.free_list)", "18446744073709551615"},
    {"LENGTH(free_area.free_list)", std::nullopt},
};

TEST(Plausibility, WithoutListsTheCountersDecide) {
  for (const auto& [key, value] : kNoLists) {
    GuestBuilder few = guest_of("6.12");
    few.vmcoreinfo(key, value).free_counter(1);
    const Plan plan = plan_of(few, 31);
    EXPECT_EQ(plan.level_reached, 15U) << key;
    EXPECT_THAT(texts(plan.remarks), HasSubstr("5120 look free, the kernel counts 1")) << key;
    GuestBuilder right = guest_of("6.12");
    right.vmcoreinfo(key, value).free_counter(kFree);
    EXPECT_EQ(plan_of(right, 31).level_reached, 31U) << key;
  }
}

// A guest's kernel, and what doubts_about() says of so many free and unaccepted pages.
class CountedGuest {
 public:
  explicit CountedGuest(GuestBuilder& guest) : found_(guest) {}
  Doubts doubts(std::uint64_t free, std::uint64_t unaccepted = 0) const {
    Evidence evidence;
    evidence.seen.slab = 1;
    evidence.seen.free = free;
    evidence.seen.unaccepted = unaccepted;
    return doubts_about(evidence, found_.kernel(), *read_page_layout(found_.kernel().info(), 64));
  }

 private:
  FoundGuest found_;
};

void expect_tolerance(GuestBuilder& builder, std::uint64_t counted, std::uint64_t tolerance) {
  constexpr ClassMask kFreeClass = mask_of(PageClass::free);
  const CountedGuest guest(builder);
  EXPECT_EQ(guest.doubts(counted).distrusted, 0U) << counted;
  EXPECT_EQ(guest.doubts(counted + tolerance).distrusted, 0U) << counted;
  EXPECT_NE(guest.doubts(counted + tolerance + 1).distrusted & kFreeClass, 0U) << counted;
  EXPECT_EQ(guest.doubts(counted - tolerance).unreached, 0U) << counted;
  EXPECT_NE(guest.doubts(counted - tolerance - 1).unreached & kFreeClass, 0U) << counted;
  EXPECT_EQ(guest.doubts(counted - tolerance - 1).distrusted, 0U) << counted;
}

// 16 MiB, and 2 % where that is more.
TEST(Plausibility, HowFarCountsMayBeOff) {
  for (const auto& [counted, tolerance] : {std::pair{100'000U, 4096U},
                                           {204'800U, 4096U},
                                           {204'850U, 4097U},
                                           {10'000'000U, 200'000U}}) {
    GuestBuilder lists("6.12");
    lists.free_lists(counted).free_counter(counted);
    expect_tolerance(lists, counted, tolerance);
    GuestBuilder counters("6.12");
    counters.vmcoreinfo("SIZE(free_area)", std::nullopt).free_counter(counted);
    expect_tolerance(counters, counted, tolerance);
  }
}

// The counter has unaccepted memory, the lists have none of it.
TEST(Plausibility, UnacceptedPages) {
  constexpr ClassMask kUnaccepted = mask_of(PageClass::unaccepted);
  GuestBuilder builder("7.1");
  builder.free_lists(50'000).free_counter(150'000);
  const CountedGuest guest(builder);
  EXPECT_EQ(guest.doubts(50'000, 100'000).unreached, 0U);
  EXPECT_EQ(guest.doubts(50'000, 100'000).distrusted, 0U);
  EXPECT_EQ(guest.doubts(50'000, 100'000 - 4096).unreached, 0U);
  EXPECT_EQ(guest.doubts(50'000, 100'000 - 4097).unreached, kUnaccepted);
  EXPECT_EQ(guest.doubts(50'000, 150'000 + 4096).distrusted, 0U);
  EXPECT_EQ(guest.doubts(50'000, 150'000 + 4097).distrusted, kUnaccepted);
  EXPECT_EQ(guest.doubts(150'000, 100'000).distrusted, mask_of(PageClass::free));
}

TEST(Plausibility, HostileCountsAreHarmless) {
  for (const std::uint64_t count :
       {std::numeric_limits<std::uint64_t>::max(), std::uint64_t{1} << 63, std::uint64_t{0}}) {
    GuestBuilder lists = guest_of("6.12");
    lists.free_lists(count);
    EXPECT_EQ(plan_of(lists, 31).level_reached, 15U) << count;
  }
  for (const std::int64_t counter : {std::numeric_limits<std::int64_t>::max(), std::int64_t{-1}}) {
    GuestBuilder guest = guest_of("6.12");
    guest.vmcoreinfo("SIZE(free_area)", std::nullopt).free_counter(counter);
    EXPECT_EQ(plan_of(guest, 31).level_reached, 15U) << counter;
  }
}

TEST(Plausibility, WithoutCountersItIsSaid) {
  GuestBuilder guest = guest_of("6.12");
  guest.vmcoreinfo("OFFSET(zone.vm_stat)", std::nullopt);
  const Plan plan = plan_of(guest, 31);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("was not checked"));
}

// v6.2: slab pages overlay `mapping`, so that without PG_slab they look anonymous.
TEST(Plausibility, SlabThatCannotBeTold) {
  GuestBuilder guest = guest_of("6.1");
  guest.vmcoreinfo("NUMBER(PG_slab)", std::nullopt);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 23U);
  EXPECT_EQ(kept_of(plan, 0x3400), 1U);
  EXPECT_EQ(kept_of(plan, 0x3403), 1U);
  EXPECT_EQ(kept_of(plan, 0x3418, 8), 8U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("slab pages cannot be distinguished"));
}

// v6.10: slab is a type; the flag's old number finds none.
TEST(Plausibility, SlabThatIsNotSeen) {
  GuestBuilder guest = guest_of("6.12");
  guest.vmcoreinfo("NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)", std::nullopt)
      .vmcoreinfo("NUMBER(PG_slab)", "9");
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 23U);
  EXPECT_EQ(kept_of(plan, 0x3418, 8), 8U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("no slab page was found"));
}

// v7.1 renamed compound_head: a reader that knows neither name must not guess.
TEST(Plausibility, WithoutCompoundHeadNothingIsFiltered) {
  GuestBuilder guest = guest_of("7.1");
  guest.vmcoreinfo("OFFSET(page.compound_info)", std::nullopt);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 1U);
  EXPECT_EQ(plan.kept.count(), plan.ram.count());
  EXPECT_THAT(texts(plan.remarks), HasSubstr("compound_head"));
}

TEST(Plausibility, TailsThatAreNotFound) {
  GuestBuilder guest = guest_of("6.12");
  guest.vmcoreinfo("OFFSET(page.compound_head)", "32");  // some other member
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 17U);
  EXPECT_EQ(kept_of(plan, 0x3400, 0x20), 0x20U);
  EXPECT_EQ(kept_of(plan, 0x2000, kFree), 0U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("no tail pages"));
}

Pfn pfn_of(VirtAddr image_address) {
  return {(image_address.value - 0xffff'ffff'8000'0000) / 4096};
}

// Pages that are the kernel's beyond doubt.
struct Claimed {
  const char* symbol;
  const char* what;
};

class ClaimedPages : public ::testing::TestWithParam<Claimed> {};

TEST_P(ClaimedPages, SwitchTheirClassOff) {
  GuestBuilder sound = guest_of("6.12");
  const MemoryImage image = sound.build();
  const Pfn pfn = pfn_of(sound.symbol(GetParam().symbol));
  struct Kind {
    PageKind kind;
    unsigned reached;
  };
  for (const Kind& wrong : {Kind{PageKind::anon, 23}, Kind{PageKind::cache, 25},
                            Kind{PageKind::free, 15}, Kind{PageKind::offline, 31}}) {
    GuestBuilder guest = guest_of("6.12");
    guest.page(pfn, wrong.kind).zero(pfn);  // zero: its contents stay as they were
    const Plan plan = plan_of(guest, 31);
    EXPECT_EQ(plan.level_reached, wrong.reached);
    EXPECT_EQ(kept_of(plan, pfn.value), 1U);
    EXPECT_THAT(texts(plan.remarks), HasSubstr(GetParam().what));
  }
}

INSTANTIATE_TEST_SUITE_P(Kernel, ClaimedPages,
                         ::testing::Values(Claimed{"init_top_pgt", "top page table"},
                                           Claimed{"init_uts_ns", "init_uts_ns"},
                                           Claimed{"prb", "is among them"}),
                         [](const auto& tested) { return std::string(tested.param.symbol); });

// A memmap with gaps: what lies there is not the memory of a device.
TEST(Plausibility, KernelPagesWithoutMemmap) {
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(guest);
  const auto memmap = *kernel::read_memmap(found.kernel());
  const auto layout = *read_page_layout(found.kernel().info(), memmap.struct_page_size);
  PageSet ram;
  ram.insert({{0}, 0x4000});
  Census census = *take_census(found.kernel(), memmap, layout, ram, {}, {}, {});
  const auto doubts_now = [&] {
    Evidence evidence = gather_evidence(found.kernel(), memmap);
    evidence.add(census);
    return doubts_about(evidence, found.kernel(), layout);
  };
  EXPECT_EQ(doubts_now().distrusted, 0U);
  census.with_memmap.erase({{0x1000}, 0x1000});
  const Doubts doubts = doubts_now();
  EXPECT_EQ(doubts.distrusted, mask_of(PageClass::no_memmap));
  EXPECT_EQ(level_without(31, doubts.unreached), 1U);
}

TEST(Plausibility, AMemmapThatIsClaimed) {
  GuestBuilder sound = guest_of("6.12");
  const FoundGuest found(sound);
  const Pfn pfn{found.struct_page(sound, {0}).value / 4096};
  GuestBuilder guest = guest_of("6.12");
  guest.page(pfn, PageKind::anon).zero(pfn);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 23U);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("the kernel's memmap"));
}

}  // namespace
}  // namespace vmcore::filters
