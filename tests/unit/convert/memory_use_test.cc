// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/memory_use.h"

#include "tests/unit/convert/converted.h"

namespace vmcore::convert {
namespace {

using filters::PageClass;
using testing::GuestBuilder;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::SparseMemory;

std::uint64_t count(const PageCounts& pages, PageClass page_class) {
  return pages.by_class[static_cast<std::size_t>(page_class)];
}

MemoryUse use_of(const MemoryImage& image, const ConvertOptions& options = {}) {
  auto use = memory_use(image, options, {});
  EXPECT_TRUE(use) << use.error().message;
  return *std::move(use);
}

// The bins have what there is, each page in one of them.
void expect_bins_add_up(const MemoryUse& use) {
  ASSERT_LE(use.bins.size(), kMaxMemoryBins);
  PageCounts sum;
  std::optional<std::uint64_t> before;
  for (const MemoryBin& bin : use.bins) {
    EXPECT_EQ(bin.start.value % use.bin_size, 0U);
    EXPECT_TRUE(!before || bin.start.value > *before);
    before = bin.start.value;
    std::uint64_t pages = 0;
    for (std::size_t i = 0; i < filters::kPageClasses; ++i) {
      sum.by_class[i] += bin.pages.by_class[i];
      pages += bin.pages.by_class[i];
    }
    EXPECT_TRUE(pages > 0 && pages <= use.bin_size / 4096) << pages;
    EXPECT_LE(bin.pages.free_zero, count(bin.pages, PageClass::free));
    sum.free_zero += bin.pages.free_zero;
  }
  EXPECT_EQ(sum.by_class, use.pages.by_class);
  EXPECT_EQ(sum.free_zero, use.pages.free_zero);
}

const MemoryBin& bin_of(const MemoryUse& use, std::uint64_t pfn) {
  for (const MemoryBin& bin : use.bins) {
    if (PhysRange{bin.start, use.bin_size}.contains({pfn * 4096})) {
      return bin;
    }
  }
  ADD_FAILURE() << "no bin for " << pfn;
  return use.bins.front();
}

TEST(MemoryUse, AGuest) {
  GuestBuilder guest = sample_guest();
  const MemoryImage image = guest.build();
  const MemoryUse use = use_of(image);
  EXPECT_EQ(use.release, "6.12.0-test");
  const auto planned = plan_only(image, {}, {});
  EXPECT_EQ(use.pages.by_class, planned->plan.pages_by_class);
  EXPECT_EQ(use.kept_pages, planned->plan.kept.count());
  EXPECT_EQ(use.pages.free_zero, 0U);  // the source knows of no zero page
  EXPECT_EQ(use.excluded_before, 0U);
  expect_bins_add_up(use);
}

TEST(MemoryUse, PagesAreInTheBinOfTheirAddress) {
  GuestBuilder guest = sample_guest();
  const MemoryUse use = use_of(guest.build());
  EXPECT_EQ(use.bin_size, 16U << 10);  // 64 MiB in 4096 parts
  EXPECT_EQ(use.bins.size(), 4096U);
  EXPECT_EQ(count(bin_of(use, 0x2000).pages, PageClass::free), 4U);
  EXPECT_EQ(count(bin_of(use, 0x2010).pages, PageClass::cache), 1U);
  EXPECT_EQ(count(bin_of(use, 0x2010).pages, PageClass::user), 1U);
  EXPECT_EQ(count(bin_of(use, 0x2013).pages, PageClass::slab), 1U);
  EXPECT_EQ(count(bin_of(use, 0x2200).pages, PageClass::user), 4U);
  EXPECT_EQ(count(bin_of(use, 0x3ffc).pages, PageClass::kernel), 4U);
}

TEST(MemoryUse, FreePagesThatAreKnownToBeZero) {
  GuestBuilder guest("6.12");
  guest.pages("2017 slab\n2400 free 6\n2500 free 6\n2800 anon 6");
  for (std::uint64_t page = 0; page < 64; ++page) {
    guest.zero({0x2400 + page});
    guest.zero({0x2800 + page});  // of users: zero, but not free
  }
  MemoryImage image = guest.build();
  static_cast<SparseMemory&>(*image.memory).tell_zero_pages();
  const MemoryUse use = use_of(image);
  EXPECT_EQ(count(use.pages, PageClass::free), 128U);
  EXPECT_EQ(use.pages.free_zero, 64U);
  EXPECT_EQ(bin_of(use, 0x2404).pages.free_zero, 4U);
  EXPECT_EQ(bin_of(use, 0x2504).pages.free_zero, 0U);
  expect_bins_add_up(use);
}

TEST(MemoryUse, HolesHaveNoBins) {
  GuestBuilder guest("6.12");
  guest.add_ram({{0x1'0000'0000}, 32 << 20}).pages("2017 slab\n100010 anon");
  const MemoryUse use = use_of(guest.build());
  expect_bins_add_up(use);
  EXPECT_EQ(use.bin_size, 32U << 10);
  EXPECT_EQ(use.bins.size(), (96U << 20) / use.bin_size);
  EXPECT_EQ(count(bin_of(use, 0x10'0010).pages, PageClass::user), 1U);
}

// The memory of a guest, and far above it as many single pages.
class Scattered : public PhysicalMemory {
 public:
  static constexpr std::uint64_t kPages = 3000;
  static constexpr std::uint64_t kFirst = 1ULL << 40, kStep = 1ULL << 30;
  explicit Scattered(std::unique_ptr<PhysicalMemory> guest) : guest_(std::move(guest)) {}
  Extent extent(PhysAddr address) const override {
    if (address.value < kFirst) {
      Extent extent = guest_->extent(address);
      extent.range.size = std::min(extent.range.size, kFirst - address.value);
      return extent;
    }
    const std::uint64_t at = (address.value - kFirst) % kStep;
    if ((address.value - kFirst) / kStep >= kPages) {
      return {{address, kMaxPhysAddr - address.value}, Presence::absent};
    }
    return at < 4096 ? Extent{{address, 4096 - at}, Presence::data}
                     : Extent{{address, kStep - at}, Presence::absent};
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    return guest_->read(address, out);
  }

 private:
  std::unique_ptr<PhysicalMemory> guest_;
};

// What of a guest's memory lies below an address.
class Below : public PhysicalMemory {
 public:
  Below(std::unique_ptr<PhysicalMemory> guest, std::uint64_t end)
      : guest_(std::move(guest)), end_(end) {}
  Extent extent(PhysAddr address) const override {
    if (address.value >= end_) {
      return {{address, kMaxPhysAddr - address.value}, Presence::absent};
    }
    Extent extent = guest_->extent(address);
    extent.range.size = std::min(extent.range.size, end_ - address.value);
    return extent;
  }
  Result<ReadExtent> read(PhysAddr address, std::span<std::byte> out) const override {
    return guest_->read(address, out);
  }

 private:
  std::unique_ptr<PhysicalMemory> guest_;
  std::uint64_t end_;
};

TEST(MemoryUse, ScatteredMemoryHasFewBinsAsWell) {
  GuestBuilder guest = sample_guest();
  MemoryImage image = guest.build();
  image.memory = std::make_unique<Scattered>(std::move(image.memory));
  const MemoryUse use = use_of(image);
  expect_bins_add_up(use);
  EXPECT_GT(use.bins.size(), Scattered::kPages);
  EXPECT_EQ(count(use.pages, PageClass::no_memmap), Scattered::kPages);
}

TEST(MemoryUse, AFilteredFileStillTellsItsClasses) {
  GuestBuilder guest = sample_guest();
  const MemoryImage image = guest.build();
  const MemoryUse before = use_of(image);
  const MemoryUse use = use_of(convert_image(image, kZstd).reopen());
  EXPECT_EQ(use.pages.by_class, before.pages.by_class);
  EXPECT_EQ(use.kept_pages, before.kept_pages);
  EXPECT_EQ(use.excluded_before, kGuestPages - before.kept_pages);
  expect_bins_add_up(use);
}

// In an ELF file what was left out is a hole.
TEST(MemoryUse, AFileThatDoesNotTellWhatIsMissingSaysSo) {
  GuestBuilder guest = sample_guest();
  const MemoryUse use = use_of(convert_image(guest.build(), kElf).reopen());
  EXPECT_EQ(count(use.pages, PageClass::free), 0U);
  EXPECT_EQ(use.excluded_before, 0U);
  EXPECT_THAT(texts(use.remarks), HasSubstr("only the pages in the file are counted"));
  expect_bins_add_up(use);
}

// A DIMM that the source does not have: the kernel has struct pages for it.
TEST(MemoryUse, MemoryThatIsNotSeenIsTold) {
  GuestBuilder guest = sample_guest();
  guest.add_ram({{0x1'0000'0000}, 256 << 20});
  MemoryImage image = guest.build();
  EXPECT_THAT(texts(use_of(image).remarks), Not(HasSubstr("more memory")));
  image.memory = std::make_unique<Below>(std::move(image.memory), 0x1'0000'0000);
  const MemoryUse use = use_of(image);
  EXPECT_THAT(texts(use.remarks), HasSubstr("up to 256 MiB more memory that is not visible"));
  expect_bins_add_up(use);
}

TEST(MemoryUse, DoubtsAreTold) {
  GuestBuilder guest = sample_guest("6.1");
  guest.vmcoreinfo("NUMBER(PG_slab)", std::nullopt);
  EXPECT_THAT(texts(use_of(guest.build()).remarks), HasSubstr("user pages are kept"));
}

TEST(MemoryUse, WithoutAKernelThereIsNothingToTell) {
  MemoryImage image;
  image.memory = std::make_unique<SparseMemory>(std::vector<PhysRange>{{{0}, 4096}});
  const auto use = memory_use(image, {}, {});
  ASSERT_FALSE(use);
  EXPECT_EQ(use.error().code, Errc::not_found);
  EXPECT_THAT(use.error().message, HasSubstr("kernel was not found"));
}

TEST(MemoryUse, WithoutAMemmapItFailsWithTheReason) {
  GuestBuilder guest = sample_guest();
  guest.vmcoreinfo("SIZE(mem_section)", std::nullopt);
  const auto use = memory_use(guest.build(), {}, {});
  ASSERT_FALSE(use);
  EXPECT_THAT(use.error().message, HasSubstr("SIZE(mem_section)"));
}

}  // namespace
}  // namespace vmcore::convert
