// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/kdump/reader.h"

#include <gtest/gtest.h>

#include <ctime>
#include <thread>

#include "src/formats/dump_format.h"
#include "src/formats/kdump/layout.h"
#include "src/formats/kdump/memory.h"
#include "src/image/page.h"
#include "tests/unit/formats/memory_checks.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::KdumpDump;
using builders::PageKind;
using builders::pages;
using builders::poke;

Result<MemoryImage> open_bytes(const Bytes& bytes) {
  return open_dump(builders::memory_file(bytes));
}

constexpr Codec kAllCodecs[] = {Codec::none, Codec::zlib, Codec::lzo, Codec::snappy, Codec::zstd};

// Pages 16 to 31, of every codec and kind, behind a hole of 16.
KdumpDump mixed() {
  KdumpDump dump;
  for (std::uint64_t i = 0; i < 16; ++i) {
    const Codec codec = kAllCodecs[i % std::size(kAllCodecs)];
    dump.pages.push_back({16 + i, PageKind::data, pages(i), codec});
  }
  for (const std::size_t i : {2U, 3U, 9U}) {
    dump.pages[i].kind = PageKind::zero;
  }
  dump.pages[6].kind = PageKind::excluded;
  dump.pages[12].kind = PageKind::lost;
  dump.pages[14].bytes = builders::random_page(1);
  return dump;
}

Bytes expected_page(const builders::KdumpPage& page) {
  switch (page.kind) {
    case PageKind::data:
      return page.bytes;
    case PageKind::zero:
      return builders::zeros(kPageSize);
    default:
      return {};
  }
}

TEST(KdumpReader, ReadsEveryKindOfPage) {
  const KdumpDump dump = mixed();
  const auto image = open_bytes(dump.build());
  ASSERT_TRUE(image) << image.error().message;
  // Twice, as the second time the shared page of zeros is known.
  for (int round = 0; round < 2; ++round) {
    for (const auto& page : dump.pages) {
      EXPECT_EQ(read_at(*image->memory, page.pfn * kPageSize), expected_page(page)) << page.pfn;
    }
  }
  EXPECT_EQ(presence(*image->memory, 0), Presence::absent);
  EXPECT_EQ(presence(*image->memory, 16 * kPageSize), Presence::data);
  EXPECT_EQ(presence(*image->memory, 22 * kPageSize), Presence::excluded);
  EXPECT_EQ(presence(*image->memory, 28 * kPageSize), Presence::lost);
  EXPECT_EQ(presence(*image->memory, 32 * kPageSize), Presence::absent);
  expect_extents_cover_all(*image->memory);
}

TEST(KdumpReader, ReadsRunsUpToTheFirstBadPage) {
  const KdumpDump dump = mixed();
  const auto image = open_bytes(dump.build());
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(
        read_at(*image->memory, 16 * kPageSize, 10 * kPageSize),
        builders::joined({pages(0), pages(1), builders::zeros(2 * kPageSize), pages(4), pages(5)}));
    Bytes out(6 * kPageSize);
    const auto got = image->memory->read({23 * kPageSize + 8}, out);
    EXPECT_EQ(got->good, 5 * kPageSize - 8);
    EXPECT_EQ(got->first_bad, PhysAddr{28 * kPageSize});
  }
}

TEST(KdumpReader, ReadsAnyPart) {
  const KdumpDump dump = mixed();
  const auto image = open_bytes(dump.build());
  const Bytes whole =
      builders::joined({pages(0), pages(1), builders::zeros(2 * kPageSize), pages(4)});
  for (const std::size_t at : {0U, 1U, 4095U, 4096U, 5000U, 8192U}) {
    for (const std::size_t size : {1U, 8U, 4096U, 4097U, 9000U}) {
      const Bytes part = read_at(*image->memory, 16 * kPageSize + at, size);
      ASSERT_EQ(part.size(), size);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(at)));
    }
  }
}

TEST(KdumpReader, ReadsMoreThanABatch) {
  KdumpDump dump;
  Bytes all;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    const Codec codec = kAllCodecs[i % std::size(kAllCodecs)];
    const bool zero = i % 7 == 3;
    dump.pages.push_back({i, zero ? PageKind::zero : PageKind::data, pages(i), codec});
    const Bytes page = expected_page(dump.pages.back());
    all.insert(all.end(), page.begin(), page.end());
  }
  const auto image = open_bytes(dump.build());
  EXPECT_EQ(read_at(*image->memory, 0, all.size()), all);
  EXPECT_EQ(image->memory->extent({0}).range.size, all.size());
}

TEST(KdumpReader, ReadsFromManyThreads) {
  const KdumpDump dump = mixed();
  const auto image = open_bytes(dump.build());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 100; ++round) {
        for (const auto& page : dump.pages) {
          EXPECT_EQ(read_at(*image->memory, page.pfn * kPageSize), expected_page(page));
          EXPECT_EQ(read_at(*image->memory, page.pfn * kPageSize + 8, 8).empty(),
                    expected_page(page).empty());
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// A pattern of page frames again and again: '#' kept, '-' excluded, '.' no RAM.
std::unique_ptr<KdumpMemory> patterned(std::string_view pattern, std::uint64_t pages_in_all) {
  PageSet ram;
  PageSet kept;
  for (std::uint64_t pfn = 0; pfn < pages_in_all; ++pfn) {
    const char kind = pattern[pfn % pattern.size()];
    if (kind != '.') {
      ram.insert({{pfn}, 1});
    }
    if (kind == '#') {
      kept.insert({{pfn}, 1});
    }
  }
  return std::make_unique<KdumpMemory>(*open_plain(builders::memory_file()), std::move(ram),
                                       std::move(kept), PageSet{}, 0);
}

// Ordinary filtered dumps have short runs of kept pages in long runs of RAM.
TEST(KdumpReader, ManyShortRunsTakeNoLongTime) {
  constexpr std::uint64_t kPages = 1 << 19;  // 2 GiB
  for (const std::string_view pattern : {"#-", "-#", "#.", "-.", "#-.-", "--------"}) {
    const auto memory = patterned(pattern, kPages);
    const std::clock_t before = std::clock();
    std::uint64_t extents = 0;
    for (PhysAddr at{0}; at.value < kPages * kPageSize; at = memory->extent(at).range.end()) {
      ++extents;
    }
    EXPECT_EQ(extents, pattern == "--------" ? 1U : kPages) << pattern;
    EXPECT_LT((std::clock() - before) / CLOCKS_PER_SEC, 2) << pattern;
    if (pattern == "#-.-") {
      EXPECT_EQ(presence(*memory, 4 * kPageSize), Presence::data);
      EXPECT_EQ(presence(*memory, 5 * kPageSize), Presence::excluded);
      EXPECT_EQ(presence(*memory, 6 * kPageSize), Presence::absent);
    }
  }
}

TEST(KdumpReader, RunsEndWhereTheKindChanges) {
  const auto memory = patterned("###----...---##-", 16 * 100);
  for (PhysAddr at{0}; at.value < 16 * 100 * kPageSize;) {
    const Extent extent = memory->extent(at + 8);
    EXPECT_EQ(extent.presence, presence(*memory, extent.range.end().value - 1));
    at = extent.range.end();
    EXPECT_EQ(at.value % kPageSize, 0U);
  }
  expect_extents_cover_all(*memory);
}

TEST(KdumpReader, TellsWhatTheHeaderSays) {
  KdumpDump dump = mixed();
  dump.pages[12].kind = PageKind::data;
  dump.level = 31;
  dump.status = 0x20;
  dump.crash_time = 1700000000;
  const auto image = open_bytes(dump.build());
  EXPECT_EQ(image->file.format, "kdump-compressed v6 (zstd)");
  EXPECT_EQ(image->file.dump_level, 31U);
  EXPECT_EQ(image->file.crash_time, 1700000000U);
  EXPECT_FALSE(image->file.incomplete);
  dump.status = 0x8;
  const auto incomplete = open_bytes(dump.build());
  EXPECT_EQ(incomplete->file.format, "kdump-compressed v6 (uncompressed)");
  EXPECT_TRUE(incomplete->file.incomplete);
}

TEST(KdumpReader, FieldsOfLaterVersionsAreNotRead) {
  for (int version = 1; version <= 6; ++version) {
    KdumpDump dump = mixed();
    dump.version = version;
    dump.level = 1;
    const auto image = open_bytes(dump.build());
    ASSERT_TRUE(image) << version;
    EXPECT_EQ(image->file.dump_level, 1U);
    EXPECT_EQ(image->find_note("VMCOREINFO", 0) != nullptr, version >= 4);
    EXPECT_EQ(read_at(*image->memory, 16 * kPageSize), pages(0));
  }
}

TEST(KdumpReader, VmcoreinfoOutsideTheNotesBecomesANote) {
  KdumpDump dump = mixed();
  dump.notes.clear();
  dump.vmcoreinfo = "OSRELEASE=6.1\n";
  const auto image = open_bytes(dump.build());
  const Note* note = image->find_note("VMCOREINFO", 0);
  ASSERT_NE(note, nullptr);
  EXPECT_EQ(note->desc, builders::text("OSRELEASE=6.1\n"));
}

TEST(KdumpReader, ReadsFlattenedFiles) {
  const auto image = open_bytes(builders::flattened(mixed().build(), 3000));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->file.format, "kdump-compressed v6 (uncompressed) flattened");
  EXPECT_EQ(read_at(*image->memory, 16 * kPageSize), pages(0));
}

TEST(KdumpReader, EveryCutIsTold) {
  KdumpDump dump = mixed();
  dump.pages[12].kind = PageKind::data;
  const Bytes bytes = dump.build();
  const std::size_t descs = 4 * kPageSize;
  for (std::size_t size = 0; size < bytes.size(); size += size < descs ? 61 : 5) {
    const auto image = open_bytes({bytes.begin(), bytes.begin() + static_cast<long>(size)});
    ASSERT_EQ(image.has_value(), size >= descs) << size;
    if (!image) {
      EXPECT_TRUE(image.error().code == Errc::truncated || size < 8) << image.error().message;
      continue;
    }
    EXPECT_TRUE(image->file.incomplete) << size;
    for (const auto& page : dump.pages) {
      const Bytes got = read_at(*image->memory, page.pfn * kPageSize);
      EXPECT_TRUE(got.empty() || got == expected_page(page)) << size << " " << page.pfn;
    }
  }
}

TEST(KdumpReader, LyingDescriptorsAreBadPages) {
  const std::uint64_t descs = 4 * kPageSize;  // header, sub-header, two bitmaps
  struct Change {
    std::uint64_t field;
    std::uint64_t value;
    std::size_t size;
  };
  const Change changes[] = {
      {0, 0, 8},    {0, ~0ULL, 8},      {0, 1ULL << 40, 8}, {8, 0, 4},  {8, 4095, 4},
      {8, 4097, 4}, {8, 0xffffffff, 4}, {12, 1, 4},         {12, 3, 4}, {12, 0x40, 4},
  };
  for (const Change& change : changes) {
    Bytes bytes = mixed().build();
    if (change.size == 8) {
      poke(bytes, descs + change.field, change.value);
    } else {
      poke(bytes, descs + change.field, static_cast<std::uint32_t>(change.value));
    }
    const auto image = open_bytes(bytes);
    ASSERT_TRUE(image);
    EXPECT_TRUE(read_at(*image->memory, 16 * kPageSize).empty()) << change.field << change.value;
    EXPECT_EQ(read_at(*image->memory, 17 * kPageSize), pages(1));
  }
}

}  // namespace
}  // namespace vmcore::formats
