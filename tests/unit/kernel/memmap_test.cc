// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/kernel/memmap.h"

#include <gtest/gtest.h>

#include "tests/builders/kernel_builder.h"

namespace vmcore::kernel {
namespace {

using testing::GuestBuilder;

constexpr std::uint64_t kSection = 0x8000;  // pages

Result<Memmap> memmap_of(GuestBuilder& guest) {
  const MemoryImage image = guest.build();
  const auto found = find_kernels(image, Search::registers);
  EXPECT_EQ(found->kernels.size(), 1U);
  return read_memmap(found->kernels.at(0));
}

class MemmapLayouts : public ::testing::TestWithParam<const char*> {};

TEST_P(MemmapLayouts, OneSection) {
  GuestBuilder guest(GetParam());
  const auto memmap = memmap_of(guest);
  ASSERT_TRUE(memmap) << memmap.error().message;
  EXPECT_EQ(memmap->struct_page_size, 64U);
  ASSERT_EQ(memmap->runs.size(), 1U);
  EXPECT_EQ(memmap->runs[0].first, Pfn{0});
  EXPECT_EQ(memmap->runs[0].count, kSection);
  EXPECT_EQ(memmap->runs[0].pages, guest.vmemmap());
}

INSTANTIATE_TEST_SUITE_P(All, MemmapLayouts,
                         ::testing::Values("5.4", "5.15", "6.1", "6.6", "6.12", "7.1"));

TEST(Memmap, JoinsNeighboursAndKeepsHoles) {
  GuestBuilder guest("6.12");
  guest.ram(256).add_ram({{1ULL << 32}, 128ULL << 20});
  const auto memmap = memmap_of(guest);
  ASSERT_TRUE(memmap) << memmap.error().message;
  ASSERT_EQ(memmap->runs.size(), 2U);
  EXPECT_EQ(memmap->runs[0].count, 2 * kSection);
  EXPECT_EQ(memmap->runs[1].first, Pfn{0x10'0000});
  EXPECT_EQ(memmap->runs[1].count, kSection);
  EXPECT_EQ(memmap->runs[1].pages, guest.vmemmap() + 0x10'0000 * 64);
}

TEST(Memmap, OfflineSectionsAreRunsOfTheirOwn) {
  GuestBuilder guest("6.1");
  guest.ram(512).offline_section(1).offline_section(2);
  const auto memmap = memmap_of(guest);
  ASSERT_TRUE(memmap) << memmap.error().message;
  ASSERT_EQ(memmap->runs.size(), 3U);
  EXPECT_FALSE(memmap->runs[0].offline);
  EXPECT_TRUE(memmap->runs[1].offline);
  EXPECT_EQ(memmap->runs[1].first, Pfn{kSection});
  EXPECT_EQ(memmap->runs[1].count, 2 * kSection);
  EXPECT_FALSE(memmap->runs[2].offline);
}

// A section that holds struct pages of an offline one is in use: its own, or those of its block.
TEST(Memmap, SectionsWithStructPagesCountAsOnline) {
  GuestBuilder guest("6.1");
  guest.ram(512).offline_section(1).offline_section(2).offline_section(3).memmap_in_section(2);
  const auto memmap = memmap_of(guest);
  ASSERT_TRUE(memmap) << memmap.error().message;
  ASSERT_EQ(memmap->runs.size(), 4U);
  const std::uint64_t bytes = kSection * memmap->struct_page_size;
  for (std::uint64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(memmap->runs[i].first, Pfn{i * kSection});
    EXPECT_EQ(memmap->runs[i].count, kSection);
    EXPECT_EQ(memmap->runs[i].pages, guest.vmemmap() + i * bytes);
    EXPECT_EQ(memmap->runs[i].offline, i % 2 == 1);
  }
}

// v4.12 and before: no section has the flag.
TEST(Memmap, NothingIsOfflineWhereTheTextWouldBe) {
  GuestBuilder guest("5.4");
  guest.ram(256).offline_section(0).offline_section(1);
  const auto memmap = memmap_of(guest);
  ASSERT_TRUE(memmap) << memmap.error().message;
  for (const MemmapRun& run : memmap->runs) {
    EXPECT_FALSE(run.offline);
  }
}

TEST(Memmap, FiveLevels) {
  GuestBuilder guest("6.12");
  guest.five_levels();
  const auto memmap = memmap_of(guest);
  ASSERT_TRUE(memmap) << memmap.error().message;
  EXPECT_EQ(memmap->runs.size(), 1U);
}

// v4.15 without a0b1280368d1.
TEST(Memmap, SymbolThatIsThePointer) {
  GuestBuilder guest("5.4");
  MemoryImage image = guest.build();
  const VirtAddr array = guest.symbol("mem_section");
  // A word of the image that was not used.
  const VirtAddr pointer{0xffff'ffff'813f'0000};
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  memory.write_value(PhysAddr{0x13f'0000}, array.value);
  std::string text = guest.vmcoreinfo_text();
  text += fmt::format("SYMBOL(mem_section)={:x}\n", pointer.value);
  const auto bytes = std::as_bytes(std::span(text));
  image.notes[0].desc.assign(bytes.begin(), bytes.end());
  const auto found = find_kernels(image, Search::registers);
  ASSERT_EQ(found->kernels.size(), 1U);
  EXPECT_EQ(found->kernels[0].page_offset(), guest.page_offset());
  const auto memmap = read_memmap(found->kernels[0]);
  ASSERT_TRUE(memmap) << memmap.error().message;
  EXPECT_EQ(memmap->runs.size(), 1U);
}

TEST(Memmap, FlatMemory) {
  GuestBuilder guest("5.15");
  guest.vmcoreinfo("SYMBOL(mem_section)", std::nullopt)
      .vmcoreinfo("SYMBOL(mem_map)", "ffffffff813f0000")
      .vmcoreinfo("SYMBOL(contig_page_data)", "ffffffff813e0000");
  const MemoryImage image = guest.build();
  auto& memory = static_cast<testing::SparseMemory&>(*image.memory);
  memory.write_value(PhysAddr{0x13f'0000}, guest.vmemmap().value);
  memory.write_value(PhysAddr{0x13e'0000 + 6168}, std::uint64_t{0x4000});
  const auto found = find_kernels(image, Search::registers);
  ASSERT_EQ(found->kernels.size(), 1U);
  const auto memmap = read_memmap(found->kernels[0]);
  ASSERT_TRUE(memmap) << memmap.error().message;
  ASSERT_EQ(memmap->runs.size(), 1U);
  EXPECT_EQ(memmap->runs[0].count, 0x4000U);
}

struct Wrong {
  const char* key;
  std::optional<std::string_view> value;
  Errc code;
};

// The name of a test must not hold addresses, which differ from run to run.
void PrintTo(const Wrong& wrong, std::ostream* out) {
  *out << wrong.key << "=" << wrong.value.value_or("none");
}

class WrongInfo : public ::testing::TestWithParam<Wrong> {};

TEST_P(WrongInfo, IsRefused) {
  GuestBuilder guest("6.1");
  guest.vmcoreinfo(GetParam().key, GetParam().value);
  const auto memmap = memmap_of(guest);
  ASSERT_FALSE(memmap);
  EXPECT_EQ(memmap.error().code, GetParam().code) << memmap.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    Hostile, WrongInfo,
    ::testing::Values(Wrong{"SYMBOL(mem_section)", std::nullopt, Errc::not_found},
                      Wrong{"SYMBOL(mem_section)", "ffff000000000000", Errc::unreadable},
                      Wrong{"SYMBOL(mem_section)", "ffffffff81000000", Errc::malformed},
                      Wrong{"SIZE(mem_section)", std::nullopt, Errc::not_found},
                      Wrong{"SIZE(mem_section)", "0", Errc::malformed},
                      Wrong{"SIZE(mem_section)", "4096", Errc::malformed},
                      Wrong{"SIZE(mem_section)", "24", Errc::malformed},
                      Wrong{"OFFSET(mem_section.section_mem_map)", "28", Errc::malformed},
                      Wrong{"LENGTH(mem_section)", "18446744073709551615", Errc::malformed},
                      Wrong{"LENGTH(mem_section)", "0", Errc::malformed},
                      Wrong{"SIZE(page)", "0", Errc::malformed},
                      Wrong{"SIZE(page)", "1024", Errc::malformed},
                      Wrong{"SIZE(page)", "60", Errc::malformed},
                      Wrong{"NUMBER(SECTION_SIZE_BITS)", "64", Errc::malformed},
                      Wrong{"NUMBER(SECTION_SIZE_BITS)", "-1", Errc::malformed},
                      Wrong{"NUMBER(MAX_PHYSMEM_BITS)", "200", Errc::malformed}));

}  // namespace
}  // namespace vmcore::kernel
