// SPDX-License-Identifier: GPL-2.0-or-later
// What is converted window by window is the same file as what is converted at once.
#include <functional>

#include "src/convert/provenance.h"
#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using testing::GuestBuilder;
using ::testing::HasSubstr;
using testing::SparseMemory;

constexpr std::uint64_t kMib = 1U << 20;
constexpr std::uint64_t kGib = 1U << 30;

// Five windows, the third of them without RAM; RAM goes over the border of the first two. The last
// one lies behind what is planned at once.
GuestBuilder windowed_guest() {
  GuestBuilder guest = sample_guest();
  guest.add_ram({{kGib - 32 * kMib}, 64 * kMib})
      .add_ram({{3 * kGib + 4 * kMib}, 32 * kMib})
      .add_ram({{20 * kGib + 4 * kMib}, 32 * kMib});
  guest.pages(
      "3e000 free 4\n3ffff anon\n3fff0 slab 3\n40000 anon 9\n40200 cache\n40201 private_cache\n"
      "40202 kernel\n40400 free 10\n40fff hwpoison\nc0400 hugetlb 9\nc0600 kernel\nc0601 anon\n"
      "c0602 slab\nc2000 free 8\nc23ff kernel\n");
  return guest;
}

// Memory with further ranges of some kind, of which no page can be had.
class WithRanges : public PhysicalMemory {
 public:
  WithRanges(std::unique_ptr<PhysicalMemory> memory, std::vector<Extent> ranges)
      : memory_(std::move(memory)), ranges_(std::move(ranges)) {}
  Extent extent(PhysAddr address) const override {
    Extent found = memory_->extent(address);
    for (const Extent& range : ranges_) {
      if (range.range.contains(address)) {
        return {{address, range.range.end() - address}, range.presence};
      }
      if (range.range.begin > address && range.range.begin < found.range.end()) {
        found.range.size = range.range.begin - address;
      }
    }
    return found;
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    const Extent found = extent(address);
    const std::uint64_t size = std::min<std::uint64_t>(out.size(), found.range.size);
    const bool ours = std::ranges::any_of(
        ranges_, [&](const Extent& range) { return range.range.contains(address); });
    if (ours) {
      return ReadExtent{0, address};
    }
    TRY_ASSIGN(ReadExtent got, memory_->read(address, out.first(size)));
    if (got.good == size && size < out.size()) {
      got.first_bad = found.range.end();
    }
    return got;
  }

 private:
  std::unique_ptr<PhysicalMemory> memory_;
  std::vector<Extent> ranges_;
};

void add_ranges(MemoryImage& image, std::vector<Extent> ranges) {
  image.memory = std::make_unique<WithRanges>(std::move(image.memory), std::move(ranges));
}

struct Case {
  const char* name;
  std::function<void(GuestBuilder&)> describe;
  std::function<void(MemoryImage&, const GuestBuilder&)> change;
  const char* said;  // in the remarks
};

void nothing(GuestBuilder&) {}
void as_built(MemoryImage&, const GuestBuilder&) {}

PhysAddr struct_page(const MemoryImage& image, const GuestBuilder& guest, std::uint64_t pfn) {
  const auto found = kernel::find_kernels(image, kernel::Search::registers);
  return found->kernels.at(0).page_tables().translate(guest.vmemmap() + pfn * 64)->address;
}

// A page of the page cache of 1 GiB, which begins the second window and says more than the struct
// pages of the blocks that it covers.
void make_gigantic(MemoryImage& image, const GuestBuilder& guest) {
  auto& memory = static_cast<SparseMemory&>(*image.memory);
  memory.write_value(struct_page(image, guest, 0x40000), std::uint64_t{(1U << 5) | 64});
  memory.write_value(struct_page(image, guest, 0x40000) + 24, std::uint64_t{0});
  memory.write_value(struct_page(image, guest, 0x40001), std::uint64_t{18});
}

// Device memory in pieces, at both sides of a window's border, and behind the last struct page.
void add_devices(MemoryImage& image, const GuestBuilder&) {
  std::vector<Extent> ranges;
  for (std::uint64_t i = 0; i < 7; ++i) {
    ranges.push_back({{{0x8000'0000 + 2 * i * 4096}, 4096}, Presence::data});
  }
  ranges.push_back({{{0xbff0'0000}, 2 * kMib}, Presence::data});
  ranges.push_back({{{6 * kGib - 8192}, 16384}, Presence::zero});
  ranges.push_back({{{9 * kGib + 8192}, 4096}, Presence::zero});
  add_ranges(image, std::move(ranges));
}

void lose_pages(MemoryImage& image, const GuestBuilder&) {
  add_ranges(image, {{{{kGib - 4096}, 8192}, Presence::lost},
                     {{{0x41f0'0800}, 0x2000}, Presence::lost},
                     {{{3 * kGib + 4 * kMib + 0x20'0000}, 0x3000}, Presence::lost}});
}

const Case kCases[] = {
    {"a guest", nothing, as_built, ""},
    {"zero pages that are known", nothing,
     [](MemoryImage& image, const GuestBuilder&) {
       static_cast<SparseMemory&>(*image.memory).tell_zero_pages();
     },
     ""},
    {"a gigantic page", nothing, make_gigantic, ""},
    {"free pages that are not believed",
     [](GuestBuilder& guest) {
       guest.free_lists(1);
       guest.pages("41000 free 10\n41400 free 10\n41800 free 10\n41c00 free 10\n");
     },
     as_built, "free pages are kept: "},
    {"user pages that are not believed",
     [](GuestBuilder& guest) {
       guest.vmcoreinfo("NUMBER(PAGE_SLAB_MAPCOUNT_VALUE)", std::nullopt)
           .vmcoreinfo("NUMBER(PG_slab)", "9");
     },
     as_built, "no slab page was found"},
    {"no kernel", [](GuestBuilder& guest) { guest.without_note(); },
     [](MemoryImage& image, const GuestBuilder&) { image.cpus.clear(); }, "was not found"},
    {"no memmap", [](GuestBuilder& guest) { guest.vmcoreinfo("SIZE(mem_section)", std::nullopt); },
     as_built, "SIZE(mem_section)"},
    {"memory without memmap", nothing, add_devices, "and 2 more"},
    {"lost pages", nothing, lose_pages, "are missing"},
    {"struct pages that cannot be read", nothing,
     [](MemoryImage& image, const GuestBuilder& guest) {
       static_cast<SparseMemory&>(*image.memory)
           .exclude({struct_page(image, guest, 0x40200).value / 4096});
     },
     "the struct pages of 64 pages"},
    {"a source that was filtered", nothing,
     [](MemoryImage& image, const GuestBuilder&) {
       image = convert_image(image, kZstd, {.how = {.level = 16}}).reopen();
     },
     ""},
};

MemoryImage image_of(const Case& tested) {
  GuestBuilder guest = windowed_guest();
  tested.describe(guest);
  MemoryImage image = guest.build();
  tested.change(image, guest);
  return image;
}

void expect_same(const Outcome& windowed, const Outcome& whole) {
  EXPECT_EQ(windowed.plan.ram_end, whole.plan.ram_end);
  EXPECT_EQ(windowed.plan.ram_pages, whole.plan.ram_pages);
  EXPECT_EQ(windowed.plan.kept_pages, whole.plan.kept_pages);
  EXPECT_EQ(windowed.plan.lost_pages, whole.plan.lost_pages);
  EXPECT_EQ(windowed.plan.pages_by_class, whole.plan.pages_by_class);
  EXPECT_EQ(windowed.plan.excluded_before, whole.plan.excluded_before);
  EXPECT_EQ(windowed.plan.level_reached, whole.plan.level_reached);
  EXPECT_EQ(windowed.lost_pages, whole.lost_pages);
  EXPECT_EQ(windowed.incomplete, whole.incomplete);
  EXPECT_EQ(windowed.release, whole.release);
  EXPECT_EQ(texts(windowed.remarks), texts(whole.remarks));
}

// One thread writes the pages of both in the same order.
TEST(Windows, MakeTheSameFile) {
  for (const Case& tested : kCases) {
    const MemoryImage image = image_of(tested);
    for (const unsigned level : {0U, 31U}) {
      SCOPED_TRACE(fmt::format("{}, level {}", tested.name, level));
      const ConvertOptions options{.how = {.level = level}, .search = kernel::Search::registers};
      const Converted whole = convert_image(image, kZstd, options);
      EXPECT_EQ(whole.outcome.plan.kept.count(), whole.outcome.plan.kept_pages);
      EXPECT_EQ(whole.outcome.plan.ram.count(), whole.outcome.plan.ram_pages);
      EXPECT_EQ(whole.outcome.plan.lost.count(), whole.outcome.plan.lost_pages);
      if (level == 31) {
        EXPECT_THAT(texts(whole.outcome.remarks), HasSubstr(tested.said));
      }
      for (const std::uint64_t window : {std::uint64_t{1}, 2 * kGib}) {
        ConvertOptions in_windows = options;
        in_windows.window = window;
        const Converted windowed = convert_image(image, kZstd, in_windows);
        expect_same(windowed.outcome, whole.outcome);
        EXPECT_EQ(windowed.outcome.plan.ram.count(), 0U);
        EXPECT_TRUE(builders::file_contents(windowed.file.get()) ==
                    builders::file_contents(whole.file.get()));
      }
    }
  }
}

TEST(Windows, ManyThreadsWriteThem) {
  const MemoryImage image = image_of(kCases[0]);
  const Outcome whole = convert_image(image, kZstd).outcome;
  const Converted windowed = convert_image(image, kZstd, {.how = {.threads = 3}, .window = kGib});
  const auto same = verify(image, windowed.reopen(), whole, {});
  EXPECT_TRUE(same) << same.error().message;
}

TEST(Windows, ArePlannedWithoutPages) {
  const MemoryImage image = image_of(kCases[0]);
  const auto planned = plan_only(image, {.window = kGib}, {});
  ASSERT_TRUE(planned);
  EXPECT_EQ(planned->plan.kept_pages, plan_only(image, {}, {})->plan.kept.count());
  EXPECT_EQ(planned->plan.kept.count(), 0U);
}

TEST(Windows, AnElfFileHasOne) {
  const MemoryImage image = image_of(kCases[0]);
  const Fd file = builders::memory_file();
  CountingObserver observer;
  const auto outcome =
      convert(image, *make_writer(kElf, file.get()), {.window = kGib}, observer, {});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Errc::unsupported);
  EXPECT_THAT(outcome.error().message, HasSubstr("use --format kdump"));
}

}  // namespace
}  // namespace vmcore::convert
