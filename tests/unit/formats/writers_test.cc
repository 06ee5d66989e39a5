// SPDX-License-Identifier: GPL-2.0-or-later
// Both writers against the readers.
#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <ctime>
#include <map>
#include <random>
#include <thread>

#include "src/base/little_endian.h"
#include "src/formats/dump_format.h"
#include "src/formats/dump_writer.h"
#include "src/formats/kdump/layout.h"
#include "src/image/page.h"
#include "tests/unit/formats/memory_checks.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::pages;

struct Target {
  std::string name;
  std::optional<Codec> codec;  // nothing: ELF
};

const Target kTargets[] = {{"none", Codec::none},     {"zlib", Codec::zlib}, {"lzo", Codec::lzo},
                           {"snappy", Codec::snappy}, {"zstd", Codec::zstd}, {"elf", std::nullopt}};

std::unique_ptr<DumpWriter> make_writer(const Target& target, int file) {
  return *formats::make_writer(target.codec ? DumpFormat::kdump : DumpFormat::elf, file,
                               target.codec.value_or(Codec::none), std::nullopt);
}

DumpHeader header() {
  DumpHeader header;
  header.machine.arch = Arch::x86_64;
  header.notes = {builders::prstatus_note(1, 2), builders::qemu_note(3, 4),
                  builders::vmcoreinfo_note()};
  header.release = "6.1.0-test";
  header.version = "#1 SMP";
  header.node_name = "guest";
  header.phys_base = -4096;
  header.level = 31;
  header.crash_time = 1700000000;
  header.cpu_count = 1;
  return header;
}

// A guest whose pages are in a map; those not in it, but in `ram`, are excluded.
struct Guest {
  PageSet ram;
  PageSet kept;
  std::map<std::uint64_t, Bytes> pages;

  void add(std::uint64_t pfn, Bytes page) {
    ram.insert({{pfn}, 1});
    kept.insert({{pfn}, 1});
    pages[pfn] = std::move(page);
  }
  void exclude(std::uint64_t pfn) { ram.insert({{pfn}, 1}); }
};

Guest random_guest(unsigned seed) {
  std::mt19937_64 random(seed);
  Guest guest;
  std::uint64_t pfn = random() % 100;
  while (pfn < 3000) {
    const std::uint64_t run = 1 + random() % 40;
    const std::uint64_t kind = random() % 4;
    for (std::uint64_t i = 0; i < run; ++i, ++pfn) {
      if (kind == 0) {
        guest.exclude(pfn);
      } else if (kind == 1) {
        guest.add(pfn, builders::zeros(kPageSize));
      } else {
        guest.add(pfn, kind == 2 ? pages(pfn) : builders::random_page(pfn));
      }
    }
    pfn += random() % 50;
  }
  guest.kept.index();
  return guest;
}

// One page frame of each 500 is taken for unreadable.
bool readable(std::uint64_t pfn) { return pfn % 500 != 250; }

// The runs of kept, readable pages of a shard, one buffer a run.
std::vector<PageRun> shard_runs(const Guest& guest, std::uint64_t first, std::uint64_t end,
                                std::vector<Bytes>& buffers) {
  std::vector<PageRun> runs;
  for (auto at = guest.pages.lower_bound(first); at != guest.pages.end() && at->first < end; ++at) {
    if (!readable(at->first)) {
      continue;
    }
    if (runs.empty() || runs.back().first + buffers.back().size() / kPageSize != Pfn{at->first}) {
      buffers.emplace_back();
      runs.push_back({{at->first}, {}});
    }
    buffers.back().insert(buffers.back().end(), at->second.begin(), at->second.end());
    runs.back().bytes = buffers.back();
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    runs[i].bytes = buffers[i];
  }
  return runs;
}

DumpHeader header_of(const Guest& guest, DumpHeader head = header()) {
  head.ram_end = guest.ram.end();
  head.ram_pages = guest.ram.count();
  head.kept_pages = guest.kept.count();
  return head;
}

// Two threads, each with every other shard, from the last one down.
void write_guest(DumpWriter& writer, const DumpHeader& head, const Guest& guest) {
  ASSERT_TRUE(writer.begin(header_of(guest, head)));
  ASSERT_TRUE(writer.plan(guest.ram, guest.kept));
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < 2; ++thread) {
    threads.emplace_back([&, thread] {
      const auto encoder = *writer.encoder();
      for (std::uint64_t shard = 30 + thread; shard < 32; shard -= 2) {
        std::vector<Bytes> buffers;
        const auto runs = shard_runs(guest, shard * 100, shard * 100 + 100, buffers);
        EXPECT_TRUE(encoder->write(runs));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  ASSERT_TRUE(writer.finish(false));
}

void expect_memory(const PhysicalMemory& memory, const Guest& guest, bool elf) {
  for (const auto& [pfn, page] : guest.pages) {
    const Bytes got = read_at(memory, pfn * kPageSize);
    if (readable(pfn)) {
      EXPECT_EQ(got, page) << pfn;
    } else {
      EXPECT_EQ(got, elf ? builders::zeros(kPageSize) : Bytes()) << pfn;
    }
  }
  for (std::uint64_t pfn = 0; pfn < 3100; ++pfn) {
    if (!guest.kept.contains({pfn})) {
      const bool told = guest.ram.contains({pfn}) && !elf;
      EXPECT_EQ(presence(memory, pfn * kPageSize), told ? Presence::excluded : Presence::absent)
          << pfn;
    }
  }
}

TEST(Writers, WhatIsWrittenIsReadBack) {
  for (const Target& target : kTargets) {
    for (unsigned seed = 0; seed < 5; ++seed) {
      SCOPED_TRACE(target.name + " " + std::to_string(seed));
      const Guest guest = random_guest(seed);
      Fd file = builders::memory_file();
      const auto writer = make_writer(target, file.get());
      write_guest(*writer, header(), guest);
      const auto image = open_dump(std::move(file));
      ASSERT_TRUE(image) << image.error().message;
      // Only a kdump file shows that pages are not there.
      EXPECT_EQ(image->file.incomplete, target.codec.has_value());
      EXPECT_FALSE(image->file.doubted);
      ASSERT_EQ(image->notes.size(), 3U);
      EXPECT_EQ(image->notes[2].desc, builders::vmcoreinfo_note().desc);
      expect_memory(*image->memory, guest, !target.codec);
      expect_extents_cover_all(*image->memory);
    }
  }
}

TEST(Writers, AnEmptyGuestIsAFile) {
  for (const Target& target : kTargets) {
    Fd file = builders::memory_file();
    const auto writer = make_writer(target, file.get());
    write_guest(*writer, header(), Guest{});
    const auto image = open_dump(std::move(file));
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(presence(*image->memory, 0), Presence::absent);
  }
}

TEST(Writers, AFileIsIncompleteUntilItIsFinished) {
  for (const Target& target : kTargets) {
    const Guest guest = random_guest(1);
    for (const bool finished : {false, true}) {
      Fd file = builders::memory_file();
      const auto writer = make_writer(target, file.get());
      ASSERT_TRUE(writer->begin(header_of(guest)));
      ASSERT_TRUE(writer->plan(guest.ram, guest.kept));
      if (finished) {
        ASSERT_TRUE(writer->finish(true));
      }
      const auto image = open_dump(std::move(file));
      ASSERT_TRUE(image) << image.error().message;
      EXPECT_TRUE(image->file.incomplete) << target.name;
    }
  }
}

TEST(Writers, PagesOutsideThePlanAreRefused) {
  for (const Target& target : kTargets) {
    Guest guest;
    guest.add(5, pages(5));
    guest.exclude(6);
    guest.kept.index();
    const Fd file = builders::memory_file();
    const auto writer = make_writer(target, file.get());
    ASSERT_TRUE(writer->begin(header_of(guest)));
    ASSERT_TRUE(writer->plan(guest.ram, guest.kept));
    const auto encoder = *writer->encoder();
    const Bytes two = pages(5, 2);
    const PageRun wrong[] = {
        {{5}, two}, {{6}, std::span(two).first(kPageSize)}, {{5}, std::span(two).first(100)}};
    for (const PageRun& run : wrong) {
      EXPECT_EQ(encoder->write(std::span(&run, 1)).error().code, Errc::invalid);
    }
  }
}

TEST(Writers, OtherMachinesAreUnsupported) {
  for (const Target& target : kTargets) {
    const Fd file = builders::memory_file();
    EXPECT_EQ(make_writer(target, file.get())->begin(DumpHeader{}).error().code, Errc::unsupported);
  }
}

TEST(Writers, LevelsAreCheckedAtOnce) {
  const Fd file = builders::memory_file();
  EXPECT_EQ(make_kdump_writer(file.get(), Codec::zlib, 99).error().code, Errc::invalid);
  EXPECT_EQ(make_kdump_writer(file.get(), Codec::none, 1).error().code, Errc::invalid);
}

TEST(KdumpWriter, FillsTheHeaders) {
  Guest guest;
  guest.add(3, builders::zeros(kPageSize));
  guest.add(4, pages(4));
  guest.exclude(9);
  guest.kept.index();
  const Fd file = builders::memory_file();
  const auto writer = make_writer({"zstd", Codec::zstd}, file.get());
  write_guest(*writer, header(), guest);
  const Bytes bytes = builders::file_contents(file.get());
  const auto main = *load<KdumpHeader>(bytes, 0);
  const auto sub = *load<KdumpSubHeader>(bytes, kPageSize);
  EXPECT_EQ(main.version, 6);
  EXPECT_STREQ(main.sysname, "Linux");
  EXPECT_STREQ(main.release, "6.1.0-test");
  EXPECT_STREQ(main.nodename, "guest");
  EXPECT_STREQ(main.machine, "x86_64");
  EXPECT_EQ(main.status, 0x20U);
  EXPECT_EQ(main.seconds, 1700000000);
  EXPECT_EQ(main.max_mapnr, 10U);
  EXPECT_EQ(main.bitmap_blocks, 2U);
  EXPECT_EQ(main.nr_cpus, 1U);
  EXPECT_EQ(sub.phys_base, -4096);
  EXPECT_EQ(sub.dump_level, 31U);
  EXPECT_EQ(sub.split, 0U);
  EXPECT_EQ(sub.max_mapnr_64, 10U);
  const auto info = std::span(bytes).subspan(sub.offset_vmcoreinfo, sub.size_vmcoreinfo);
  EXPECT_EQ(Bytes(info.begin(), info.end()), builders::vmcoreinfo_note().desc);
}

// The page frames of `pages` in that GiB.
PageSet gib_of(const PageSet& pages, std::uint64_t gib) {
  PageSet part;
  const Pfn end{(gib + 1) << 18};
  for (PfnRange run = pages.next_run({gib << 18}, end); run.count != 0;
       run = pages.next_run(run.end(), end)) {
    part.insert(run);
  }
  part.index();
  return part;
}

// Pages at both sides of the windows' ends, and none in one of the windows.
Guest guest_of_windows() {
  Guest guest;
  for (const std::uint64_t gib : {1U, 2U, 4U}) {
    for (std::uint64_t pfn = (gib << 18) - 70; pfn < (gib << 18) + 70; ++pfn) {
      if (pfn % 7 == 0) {
        guest.exclude(pfn);
      } else {
        guest.add(pfn, pfn % 5 == 0 ? builders::zeros(kPageSize) : pages(pfn));
      }
    }
  }
  guest.kept.index();
  return guest;
}

Bytes written_in_windows(const Guest& guest, bool windows) {
  const Fd file = builders::memory_file();
  const auto writer = make_writer({"zstd", Codec::zstd}, file.get());
  EXPECT_TRUE(writer->begin(header_of(guest)));
  const auto write = [&](const PageSet& ram, const PageSet& kept) {
    EXPECT_TRUE(writer->plan(ram, kept));
    std::vector<Bytes> buffers;
    EXPECT_TRUE((*writer->encoder())
                    ->write(shard_runs(guest, kept.next_run({0}, kept.end()).first.value,
                                       kept.end().value, buffers)));
  };
  if (windows) {
    for (std::uint64_t gib = 0; gib < 5; ++gib) {
      write(gib_of(guest.ram, gib), gib_of(guest.kept, gib));
    }
  } else {
    write(guest.ram, guest.kept);
  }
  EXPECT_TRUE(writer->finish(false));
  return builders::file_contents(file.get());
}

TEST(KdumpWriter, WindowsMakeTheSameFile) {
  const Guest guest = guest_of_windows();
  EXPECT_EQ(written_in_windows(guest, true), written_in_windows(guest, false));
}

TEST(KdumpWriter, MoreThanTheHeaderToldIsRefused) {
  const Guest guest = guest_of_windows();
  DumpHeader fewer = header_of(guest);
  --fewer.kept_pages;
  DumpHeader lower = header_of(guest);
  lower.ram_end = {lower.ram_end.value - 1};
  for (const DumpHeader& head : {fewer, lower}) {
    const Fd file = builders::memory_file();
    const auto writer = make_writer({"none", Codec::none}, file.get());
    ASSERT_TRUE(writer->begin(head));
    EXPECT_TRUE(writer->plan(gib_of(guest.ram, 0), gib_of(guest.kept, 0)));
    EXPECT_EQ(writer->plan(guest.ram, guest.kept).error().code, Errc::invalid);
  }
}

TEST(ElfWriter, HasOneWindow) {
  const Guest guest = guest_of_windows();
  const Fd file = builders::memory_file();
  const auto writer = make_writer({"elf", std::nullopt}, file.get());
  ASSERT_TRUE(writer->begin(header_of(guest)));
  const PageSet first = gib_of(guest.kept, 0);
  const PageSet second = gib_of(guest.kept, 1);
  ASSERT_TRUE(writer->plan(first, first));
  EXPECT_EQ(writer->plan(second, second).error().code, Errc::unsupported);
}

TEST(KdumpWriter, AllZeroPagesShareOnePage) {
  Guest guest;
  for (std::uint64_t pfn = 0; pfn < 3000; ++pfn) {
    guest.add(pfn, builders::zeros(kPageSize));
  }
  guest.kept.index();
  const Fd file = builders::memory_file();
  write_guest(*make_writer({"none", Codec::none}, file.get()), header(), guest);
  EXPECT_LT(builders::file_contents(file.get()).size(), 30 * kPageSize);
}

TEST(KdumpWriter, BitmapsOfLongRunsTakeNoLongTime) {
  Guest guest;
  guest.ram.insert({{0}, 1ULL << 29});  // 2 TiB
  guest.kept.insert({{0}, 1});
  guest.kept.index();
  const Fd file = builders::memory_file();
  const auto writer = make_writer({"none", Codec::none}, file.get());
  ASSERT_TRUE(writer->begin(header_of(guest)));
  const std::clock_t before = std::clock();
  ASSERT_TRUE(writer->plan(guest.ram, guest.kept));
  EXPECT_LT((std::clock() - before) / CLOCKS_PER_SEC, 3);
}

std::vector<Elf64_Phdr> loads_of(int file) {
  const Bytes bytes = builders::file_contents(file);
  const auto head = *load<Elf64_Ehdr>(bytes, 0);
  std::vector<Elf64_Phdr> loads;
  for (std::uint64_t i = 1; i < head.e_phnum; ++i) {
    loads.push_back(*load<Elf64_Phdr>(bytes, head.e_phoff + i * sizeof(Elf64_Phdr)));
  }
  return loads;
}

TEST(ElfWriter, GivesEachSegmentItsAddresses) {
  Guest guest;
  for (std::uint64_t pfn = 0; pfn < 20; ++pfn) {
    if (pfn == 7) {
      guest.exclude(pfn);
    } else {
      guest.add(pfn, pages(pfn));
    }
  }
  guest.kept.index();
  DumpHeader head = header();
  head.segments = {
      {{{5 * kPageSize + 0x800}, 4 * kPageSize}, {0xffffffff81000800}},  // pages 5 to 9
      {{{0}, 15 * kPageSize}, {0xffff888000000000}}};
  const Fd file = builders::memory_file();
  write_guest(*make_writer({"elf", std::nullopt}, file.get()), head, guest);

  struct Expected {
    std::uint64_t physical, virtual_begin, pages;
  };
  const Expected expected[] = {{5, 0xffffffff81000000, 2},
                               {8, 0xffffffff81003000, 2},
                               {0, 0xffff888000000000, 7},
                               {8, 0xffff888000008000, 7},
                               {15, 0, 5}};
  const auto loads = loads_of(file.get());
  ASSERT_EQ(loads.size(), std::size(expected));
  for (std::size_t i = 0; i < loads.size(); ++i) {
    EXPECT_EQ(loads[i].p_paddr, expected[i].physical * kPageSize);
    EXPECT_EQ(loads[i].p_vaddr, expected[i].virtual_begin);
    EXPECT_EQ(loads[i].p_filesz, expected[i].pages * kPageSize);
    EXPECT_EQ(loads[i].p_memsz, loads[i].p_filesz);
    EXPECT_EQ(loads[i].p_offset % kPageSize, 0U);
  }
  EXPECT_EQ(loads[0].p_offset, loads[2].p_offset + 5 * kPageSize);  // the same data
}

TEST(ElfWriter, ManySegmentsAreCountedInASectionAndRemarked) {
  for (const std::uint64_t count : {65533U, 65534U, 65535U, 70000U}) {
    Guest guest;
    for (std::uint64_t i = 0; i < count; ++i) {
      guest.kept.insert({{2 * i}, 1});
    }
    guest.kept.index();
    Fd file = builders::memory_file();
    const auto writer = *make_elf_writer(file.get());
    ASSERT_TRUE(writer->begin(header()));
    ASSERT_TRUE(writer->plan(guest.kept, guest.kept));
    EXPECT_EQ(writer->remarks().size(), 1U);
    const auto encoder = *writer->encoder();
    const Bytes page = pages(1);
    const PageRun last{{2 * (count - 1)}, page};
    ASSERT_TRUE(encoder->write(std::span(&last, 1)));
    ASSERT_TRUE(writer->finish(false));
    const auto image = open_dump(std::move(file));
    ASSERT_TRUE(image) << image.error().message;
    EXPECT_EQ(read_at(*image->memory, 2 * (count - 1) * kPageSize), page);
    EXPECT_EQ(presence(*image->memory, 2 * (count - 2) * kPageSize), Presence::zero);
    EXPECT_EQ(presence(*image->memory, (2 * count - 3) * kPageSize), Presence::absent);
  }
}

TEST(ElfWriter, ZeroPagesTakeNoRoom) {
  Guest guest;
  for (std::uint64_t pfn = 0; pfn < 3000; ++pfn) {
    guest.add(pfn, pfn == 1000 ? pages(1) : builders::zeros(kPageSize));
  }
  guest.kept.index();
  const Fd file = builders::memory_file();
  write_guest(*make_writer({"elf", std::nullopt}, file.get()), header(), guest);
  struct stat status {};
  ASSERT_EQ(::fstat(file.get(), &status), 0);
  EXPECT_GE(status.st_size, 3000 * static_cast<long>(kPageSize));
  EXPECT_LT(status.st_blocks * 512, 5 * static_cast<long>(kPageSize));
}

}  // namespace
}  // namespace vmcore::formats
