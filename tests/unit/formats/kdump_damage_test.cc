// SPDX-License-Identifier: GPL-2.0-or-later
// kdump files that somebody cut, killed the writer of, or changed a bit of.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <limits>

#include "src/formats/dump_format.h"
#include "src/formats/kdump/layout.h"
#include "src/image/page.h"
#include "tests/unit/formats/memory_checks.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::flip_bit;
using builders::KdumpDump;
using builders::KdumpParts;
using builders::PageKind;
using builders::pages;
using builders::poke;
using ::testing::HasSubstr;

constexpr std::uint64_t kFirst = 16;
constexpr std::uint64_t kPages = 42;  // the bitmap ends inside a byte
constexpr std::size_t kDesc = sizeof(PageDesc);

Result<MemoryImage> open_bytes(const Bytes& bytes) {
  return open_dump(builders::memory_file(bytes));
}

// 42 pages behind a hole of 16; each fourth is excluded, each tenth zero, and they shrink by
// different amounts.
KdumpDump sample(bool like_ours = false, Codec codec = Codec::zlib) {
  KdumpDump dump;
  dump.like_ours = like_ours;
  for (std::uint64_t i = 0; i < kPages; ++i) {
    Bytes bytes = pages(i);
    std::copy_n(builders::random_page(i).begin(), 40 * i, bytes.begin());
    const PageKind kind =
        i % 4 == 3 ? PageKind::excluded : (i % 10 == 4 ? PageKind::zero : PageKind::data);
    dump.pages.push_back({kFirst + i, kind, bytes, codec});
  }
  return dump;
}

std::string remarks_of(const MemoryImage& image) {
  std::string all;
  for (const Remark& remark : image.remarks) {
    all += remark.text + "\n";
  }
  return all;
}

// Pages that are shown with other contents than they have.
std::uint64_t wrong_pages(const MemoryImage& image, const KdumpDump& dump) {
  std::uint64_t wrong = 0;
  for (const auto& page : dump.pages) {
    const Bytes got = read_at(*image.memory, page.pfn * kPageSize);
    const Bytes right = page.kind == PageKind::zero ? builders::zeros(kPageSize) : page.bytes;
    wrong += !got.empty() && got != right ? 1U : 0U;
  }
  return wrong;
}

std::uint64_t kept_pages(const KdumpDump& dump) {
  return static_cast<std::uint64_t>(std::ranges::count_if(
      dump.pages, [](const auto& page) { return page.kind != PageKind::excluded; }));
}

TEST(KdumpDamage, ThereIsNoneInWholeFiles) {
  for (const bool like_ours : {false, true}) {
    for (const Codec codec : {Codec::none, Codec::zlib}) {
      const KdumpDump dump = sample(like_ours, codec);
      const auto image = open_bytes(dump.build());
      ASSERT_TRUE(image) << image.error().message;
      EXPECT_FALSE(image->file.incomplete);
      EXPECT_FALSE(image->file.doubted);
      EXPECT_TRUE(image->remarks.empty()) << remarks_of(*image);
      EXPECT_EQ(wrong_pages(*image, dump), 0U);
    }
  }
}

// Whichever bit of the second bitmap is wrong, and whatever stands behind it.
TEST(KdumpDamage, AWrongBitOfTheBitmapIsTold) {
  for (const bool like_ours : {false, true}) {
    const KdumpDump dump = sample(like_ours);
    for (std::uint64_t pfn = 0; pfn < kFirst + kPages; ++pfn) {
      Bytes bytes = dump.build();
      flip_bit(bytes, KdumpParts(bytes).kept, pfn);
      const auto image = open_bytes(bytes);
      ASSERT_TRUE(image) << image.error().message;
      EXPECT_TRUE(image->file.incomplete) << pfn;
      EXPECT_TRUE(image->file.doubted) << pfn << remarks_of(*image);
      EXPECT_THAT(remarks_of(*image), HasSubstr("contents of their neighbours"));
    }
  }
}

// makedumpfile leaves its page of zeros unused where zero pages are left out.
TEST(KdumpDamage, AWrongBitIsToldWhereThePageOfZerosIsUnused) {
  for (const bool like_ours : {false, true}) {
    KdumpDump dump = sample(like_ours);
    for (auto& page : dump.pages) {
      page.kind = page.kind == PageKind::zero ? PageKind::excluded : page.kind;
    }
    ASSERT_FALSE(open_bytes(dump.build())->file.incomplete);
    for (std::uint64_t pfn = 0; pfn < kFirst + kPages; ++pfn) {
      Bytes bytes = dump.build();
      flip_bit(bytes, KdumpParts(bytes).kept, pfn);
      EXPECT_TRUE(open_bytes(bytes)->file.doubted) << pfn;
    }
  }
}

TEST(KdumpDamage, ABitmapThatIsGoneIsTold) {
  Bytes bytes = sample().build();
  const KdumpParts parts(bytes);
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(parts.kept), kPageSize, std::byte{0});
  EXPECT_TRUE(open_bytes(bytes)->file.doubted);
}

TEST(KdumpDamage, AWrongDescriptorIsTold) {
  const KdumpDump dump = sample();
  const std::uint64_t count = kept_pages(dump);
  for (std::uint64_t rank = 1; rank + 1 < count; ++rank) {
    for (const bool doubled : {false, true}) {
      Bytes bytes = dump.build();
      const auto at = bytes.begin() + static_cast<std::ptrdiff_t>(KdumpParts(bytes).descs);
      const auto here = at + static_cast<std::ptrdiff_t>(rank * kDesc);
      const auto end = at + static_cast<std::ptrdiff_t>(count * kDesc);
      if (doubled) {
        std::copy_backward(here, end - kDesc, end);
      } else {
        std::copy(here + kDesc, end, here);
        std::fill(end - kDesc, end, std::byte{0});
      }
      const auto image = open_bytes(bytes);
      const bool shown_wrong = wrong_pages(*image, dump) != 0;
      // A page of zeros has nothing of its own that could be missing.
      const std::uint64_t pfn = [&] {
        std::uint64_t before = 0;
        for (const auto& page : dump.pages) {
          if (page.kind != PageKind::excluded && before++ == rank) {
            return page.pfn;
          }
        }
        return std::uint64_t{0};
      }();
      if (dump.pages[pfn - kFirst].kind != PageKind::zero) {
        EXPECT_TRUE(image->file.incomplete || !shown_wrong) << rank << doubled;
        EXPECT_TRUE(image->file.doubted || !shown_wrong) << rank << doubled;
      }
    }
  }
}

TEST(KdumpDamage, DataThatOverlapAreTold) {
  const Bytes good = sample().build();
  const std::uint64_t desc = KdumpParts(good).descs + 5 * kDesc;
  const std::uint64_t offset = load<PageDesc>(good, desc)->offset;
  for (const std::uint64_t other : {offset + 1, offset - 1, offset + 500}) {
    Bytes bytes = good;
    poke(bytes, desc, other);
    const auto image = open_bytes(bytes);
    EXPECT_TRUE(image->file.doubted);
    EXPECT_TRUE(image->file.incomplete);
  }
}

// Threads write where there is room: order says nothing.
TEST(KdumpDamage, DataMayLieInAnyOrder) {
  for (const bool like_ours : {false, true}) {
    KdumpDump dump = sample(like_ours, Codec::none);
    Bytes bytes = dump.build();
    const std::uint64_t one = KdumpParts(bytes).descs;
    const std::uint64_t other = one + 5 * kDesc;
    const std::uint64_t offsets[] = {load<PageDesc>(bytes, one)->offset,
                                     load<PageDesc>(bytes, other)->offset};
    poke(bytes, one, offsets[1]);
    poke(bytes, other, offsets[0]);
    std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(offsets[0]),
                     bytes.begin() + static_cast<std::ptrdiff_t>(offsets[0] + kPageSize),
                     bytes.begin() + static_cast<std::ptrdiff_t>(offsets[1]));
    const auto image = open_bytes(bytes);
    EXPECT_TRUE(image->remarks.empty()) << remarks_of(*image);
    EXPECT_EQ(wrong_pages(*image, dump), 0U);
  }
}

// A writer that was killed leaves a table without its end, and says nothing.
TEST(KdumpDamage, AKilledWriterIsTold) {
  const KdumpDump dump = sample();
  const std::uint64_t count = kept_pages(dump);
  for (std::uint64_t written = 0; written < count; ++written) {
    Bytes bytes = dump.build();
    const auto at = static_cast<std::ptrdiff_t>(KdumpParts(bytes).descs + written * kDesc);
    std::fill_n(bytes.begin() + at, (count - written) * kDesc, std::byte{0});
    const auto image = open_bytes(bytes);
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_TRUE(image->file.incomplete);
    EXPECT_FALSE(image->file.doubted) << remarks_of(*image);
    EXPECT_THAT(remarks_of(*image),
                HasSubstr(fmt::format("{0} of {1} pages are lost; {0} were never written",
                                      count - written, count)));
    std::uint64_t lost = 0;
    for (PhysAddr at_page{0}; at_page.value < kMaxPhysAddr;) {
      const Extent extent = image->memory->extent(at_page);
      lost += extent.presence == Presence::lost ? extent.range.size / kPageSize : 0;
      at_page = extent.range.end();
    }
    EXPECT_EQ(lost, count - written);
    EXPECT_EQ(wrong_pages(*image, dump), 0U);
    expect_extents_cover_all(*image->memory);
  }
}

// One that makes its bitmap in parts leaves even that without its end.
TEST(KdumpDamage, ABitmapThatWasNotWrittenToItsEndIsTold) {
  const KdumpDump dump = sample();
  Bytes bytes = dump.build();
  const KdumpParts parts(bytes);
  std::uint64_t rank = 0;
  for (const auto& page : dump.pages) {
    if (page.kind == PageKind::excluded) {
      continue;
    }
    if (page.pfn >= kFirst + kPages / 2) {
      flip_bit(bytes, parts.kept, page.pfn);
      poke(bytes, parts.descs + rank * kDesc, PageDesc{});
    }
    ++rank;
  }
  const auto image = open_bytes(bytes);
  EXPECT_TRUE(image->file.incomplete);
  EXPECT_FALSE(image->file.doubted);
  EXPECT_THAT(remarks_of(*image), HasSubstr("not written completely"));
  EXPECT_EQ(wrong_pages(*image, dump), 0U);
}

TEST(KdumpDamage, WhatSaysThatItIsIncompleteMayHaveGaps) {
  KdumpDump dump = sample(true);
  dump.status = kKdumpIncomplete;
  dump.pages[5].kind = PageKind::lost;
  Bytes bytes = dump.build();
  poke(bytes, KdumpParts(bytes).descs + 2 * kDesc, PageDesc{});
  const auto image = open_bytes(bytes);
  EXPECT_TRUE(image->file.incomplete);
  EXPECT_FALSE(image->file.doubted) << remarks_of(*image);
}

struct Lie {
  const char* what;
  std::uint64_t offset;
  std::uint64_t value;
  std::size_t size = 4;
};

constexpr std::uint64_t sub(std::uint64_t field) { return kPageSize + field; }

Bytes with(Bytes bytes, const Lie& lie) {
  if (lie.size == 8) {
    poke(bytes, lie.offset, lie.value);
  } else {
    poke(bytes, lie.offset, static_cast<std::uint32_t>(lie.value));
  }
  return bytes;
}

// One field that cannot be, whichever: the rest of the file tells what it should be.
TEST(KdumpDamage, OneDoubtfulFieldRefusesNoFile) {
  const Lie lies[] = {
      {"version", offsetof(KdumpHeader, version), 0},
      {"version", offsetof(KdumpHeader, version), 7},
      {"version", offsetof(KdumpHeader, version), 0xffffffff},
      {"blocks of", offsetof(KdumpHeader, block_size), 0x2000},
      {"blocks of", offsetof(KdumpHeader, block_size), 0},
      {"sub_header_blocks", offsetof(KdumpHeader, sub_header_blocks), 0xffffffff},
      {"sub_header_blocks", offsetof(KdumpHeader, sub_header_blocks), 0},
      {"sub_header_blocks", offsetof(KdumpHeader, sub_header_blocks), 2},
      {"bitmap_blocks", offsetof(KdumpHeader, bitmap_blocks), 0xffffffff},
      {"bitmap_blocks", offsetof(KdumpHeader, bitmap_blocks), 0xfffffffe},
      {"bitmap_blocks", offsetof(KdumpHeader, bitmap_blocks), 0},
      {"bitmap_blocks", offsetof(KdumpHeader, bitmap_blocks), 1},
      {"bitmap_blocks", offsetof(KdumpHeader, bitmap_blocks), 3},
      {"bitmap_blocks", offsetof(KdumpHeader, bitmap_blocks), 4},
      {"max_mapnr", sub(offsetof(KdumpSubHeader, max_mapnr_64)), ~0ULL, 8},
      {"max_mapnr", sub(offsetof(KdumpSubHeader, max_mapnr_64)), 1ULL << 33, 8},
      {"max_mapnr", sub(offsetof(KdumpSubHeader, max_mapnr_64)), 20, 8},
      {"max_mapnr", sub(offsetof(KdumpSubHeader, max_mapnr_64)), 0, 8},
      {"split", sub(offsetof(KdumpSubHeader, split)), 1},
      {"notes", sub(offsetof(KdumpSubHeader, size_note)), ~0ULL, 8},
      {"notes", sub(offsetof(KdumpSubHeader, size_note)), 1ULL << 20, 8},
      {"notes", sub(offsetof(KdumpSubHeader, offset_note)), ~0ULL, 8},
      {"VMCOREINFO", sub(offsetof(KdumpSubHeader, size_vmcoreinfo)), ~0ULL, 8},
  };
  KdumpDump dump = sample();
  dump.notes = {builders::prstatus_note(1, 2)};
  dump.vmcoreinfo = "OSRELEASE=6.1\n";
  for (const Lie& lie : lies) {
    const auto image = open_bytes(with(dump.build(), lie));
    ASSERT_TRUE(image) << lie.what << lie.value << ": " << image.error().message;
    EXPECT_THAT(remarks_of(*image), HasSubstr(lie.what)) << lie.value;
    EXPECT_FALSE(image->file.incomplete) << lie.what << lie.value << remarks_of(*image);
    EXPECT_EQ(wrong_pages(*image, dump), 0U) << lie.what << lie.value;
    EXPECT_EQ(presence(*image->memory, kFirst * kPageSize), Presence::data);
  }
}

TEST(KdumpDamage, FieldsThatNobodyNeedsAreNotDoubted) {
  const Lie lies[] = {{"", offsetof(KdumpHeader, max_mapnr), 5},
                      {"", offsetof(KdumpHeader, written_blocks), 5},
                      {"", offsetof(KdumpHeader, written_blocks), 500},
                      {"", offsetof(KdumpHeader, written_blocks), 0xffffffff},
                      {"", sub(offsetof(KdumpSubHeader, end_pfn_64)), 3, 8}};
  for (const Lie& lie : lies) {
    const auto image = open_bytes(with(sample(true).build(), lie));
    ASSERT_TRUE(image) << lie.offset;
    EXPECT_FALSE(image->file.incomplete) << lie.offset;
    EXPECT_TRUE(image->remarks.empty()) << remarks_of(*image);
  }
}

TEST(KdumpDamage, AllHeadersWrongAreRefused) {
  Bytes bytes = sample().build();
  poke(bytes, offsetof(KdumpHeader, bitmap_blocks), std::uint32_t{3});
  poke(bytes, offsetof(KdumpHeader, max_mapnr), std::uint32_t{0xfffffff0});
  poke(bytes, sub(offsetof(KdumpSubHeader, max_mapnr_64)), ~0ULL);
  const auto image = open_bytes(bytes);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Errc::malformed);
}

// makedumpfile --split writes parts without a page as well.
TEST(KdumpDamage, PartsOfASplitDumpAreRefused) {
  struct Part {
    std::uint64_t start, end;
    bool whole;
  };
  for (const Part part : {Part{0, 20, false}, Part{20, kFirst + kPages, false}, Part{20, 20, false},
                          Part{0, kFirst + kPages, true}}) {
    Bytes bytes = sample().build();
    poke(bytes, sub(offsetof(KdumpSubHeader, split)), std::uint32_t{1});
    poke(bytes, sub(offsetof(KdumpSubHeader, start_pfn_64)), part.start);
    poke(bytes, sub(offsetof(KdumpSubHeader, end_pfn_64)), part.end);
    const auto image = open_bytes(bytes);
    EXPECT_EQ(image.has_value(), part.whole) << part.start;
    if (!image) {
      EXPECT_EQ(image.error().code, Errc::unsupported);
      EXPECT_THAT(image.error().message, HasSubstr("--reassemble"));
    }
  }
}

TEST(KdumpDamage, BitsBehindTheLastPageAreNoPages) {
  Bytes bytes = sample().build();
  const KdumpParts parts(bytes);
  for (const std::uint64_t pfn : {kFirst + kPages, kFirst + kPages + 1, std::uint64_t{63}}) {
    flip_bit(bytes, parts.ram, pfn);
    flip_bit(bytes, parts.kept, pfn);
  }
  const auto image = open_bytes(bytes);
  EXPECT_FALSE(image->file.incomplete) << remarks_of(*image);
  EXPECT_EQ(presence(*image->memory, (kFirst + kPages) * kPageSize), Presence::absent);
  EXPECT_EQ(ram_ranges(*image->memory).size(), kPages * kPageSize);
}

TEST(KdumpDamage, APageInTheFileIsRam) {
  const KdumpDump dump = sample();
  Bytes bytes = dump.build();
  flip_bit(bytes, KdumpParts(bytes).ram, kFirst);
  const auto image = open_bytes(bytes);
  EXPECT_EQ(image->memory->extent({0}).range.size, kFirst * kPageSize);
  EXPECT_EQ(presence(*image->memory, kFirst * kPageSize), Presence::data);
  EXPECT_EQ(wrong_pages(*image, dump), 0U);
  EXPECT_FALSE(image->file.incomplete);
  EXPECT_THAT(remarks_of(*image), HasSubstr("does not mark 1 pages as RAM"));
  expect_extents_cover_all(*image->memory);
}

}  // namespace
}  // namespace vmcore::formats
