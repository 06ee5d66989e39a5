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

TEST(Plausibility, FarMoreFreePagesThanTheKernelCounts) {
  GuestBuilder guest = guest_of("6.12");
  guest.free_counter(1);
  const Plan plan = plan_of(guest, 31);
  EXPECT_EQ(plan.level_reached, 15U);
  EXPECT_EQ(kept_of(plan, 0x2000, kFree), kFree);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("5120 look free, the kernel counts 1"));
}

TEST(Plausibility, CountersMayLag) {
  for (const std::int64_t counter : {std::int64_t{kFree} - 3000, std::int64_t{kFree} + 3000}) {
    GuestBuilder guest = guest_of("6.12");
    guest.free_counter(counter);
    EXPECT_EQ(plan_of(guest, 31).level_reached, 31U) << counter;
  }
}

TEST(Plausibility, HostileCountersAreHarmless) {
  for (const std::int64_t counter : {std::numeric_limits<std::int64_t>::max(), std::int64_t{-1}}) {
    GuestBuilder guest = guest_of("6.12");
    guest.free_counter(counter);
    EXPECT_EQ(plan_of(guest, 31).level_reached, 15U) << counter;
  }
}

TEST(Plausibility, WithoutCountersItIsSaid) {
  GuestBuilder guest = guest_of("6.12");
  guest.vmcoreinfo("OFFSET(zone.vm_stat)", std::nullopt);
  const Plan plan = plan_of(guest, 31);
  EXPECT_THAT(texts(plan.remarks), HasSubstr("could not be checked"));
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
  EXPECT_THAT(texts(plan.remarks), HasSubstr("slab pages cannot be told"));
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
                                           Claimed{"prb", "would have been left out"}),
                         [](const auto& tested) { return std::string(tested.param.symbol); });

// A memmap with gaps: what lies there is not the memory of a device.
TEST(Plausibility, KernelPagesWithoutMemmap) {
  GuestBuilder guest = guest_of("6.12");
  const FoundGuest found(guest);
  const auto memmap = *kernel::read_memmap(found.kernel());
  const auto layout = *read_page_layout(found.kernel().info(), memmap.struct_page_size);
  PageSet ram;
  ram.insert({{0}, 0x4000});
  Census census = *take_census(found.kernel(), memmap, layout, ram, 1, {});
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
