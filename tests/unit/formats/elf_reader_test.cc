// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/reader.h"

#include <elf.h>
#include <gtest/gtest.h>

#include "src/base/little_endian.h"
#include "src/base/sys.h"
#include "src/formats/dump_format.h"
#include "src/formats/elf/notes.h"
#include "src/image/page.h"
#include "tests/unit/formats/memory_checks.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::ElfDump;
using builders::kElfFirstPhdr;
using builders::pages;
using builders::poke;

Result<MemoryImage> open_bytes(const Bytes& bytes) {
  return open_dump(builders::memory_file(bytes));
}

ElfDump two_loads() {
  ElfDump dump;
  dump.loads = {{0x100000, pages(1, 2)}, {0x10000, pages(2, 3)}};
  return dump;
}

constexpr std::uint64_t phdr(unsigned number, std::uint64_t field) {
  return kElfFirstPhdr + number * sizeof(Elf64_Phdr) + field;
}

TEST(ElfReader, ReadsWhereverTheHeadersLie) {
  for (const bool like_qemu : {false, true}) {
    for (const bool extended : {false, true}) {
      ElfDump dump = two_loads();
      dump.like_qemu = like_qemu;
      dump.extended_count = extended;
      const auto image = open_bytes(dump.build());
      ASSERT_TRUE(image) << image.error().message;
      EXPECT_EQ(image->machine.arch, Arch::x86_64);
      EXPECT_EQ(image->file.format, "ELF");
      EXPECT_FALSE(image->file.incomplete);
      EXPECT_NE(image->find_note("VMCOREINFO", 0), nullptr);
      EXPECT_EQ(read_at(*image->memory, 0x100000, 2 * kPageSize), pages(1, 2));
      EXPECT_EQ(read_at(*image->memory, 0x10000, 3 * kPageSize), pages(2, 3));
      EXPECT_EQ(presence(*image->memory, 0), Presence::absent);
      EXPECT_EQ(presence(*image->memory, 0x10000), Presence::data);
      expect_extents_cover_all(*image->memory);
    }
  }
}

TEST(ElfReader, ReadsAnyPart) {
  const auto image = open_bytes(two_loads().build());
  const Bytes whole = pages(2, 3);
  for (const std::size_t at : {0U, 1U, 4095U, 4096U, 5000U}) {
    const Bytes part = read_at(*image->memory, 0x10000 + at, 5000);
    EXPECT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(at)));
    EXPECT_EQ(part.size(), 5000U);
  }
}

TEST(ElfReader, AReadStopsAtTheFirstBadPage) {
  const auto image = open_bytes(two_loads().build());
  Bytes out(4 * kPageSize);
  const auto got = image->memory->read({0x10800}, out);
  EXPECT_EQ(got->good, 3 * kPageSize - 0x800);
  EXPECT_EQ(got->first_bad, PhysAddr{0x13000});
  EXPECT_EQ(image->memory->read({0x5123}, out)->first_bad, PhysAddr{0x5000});
  EXPECT_EQ(image->memory->read({kMaxPhysAddr + 5}, out)->good, 0U);
}

TEST(ElfReader, TheFirstOfOverlappingSegmentsWins) {
  ElfDump dump;
  dump.loads = {{0x2000, pages(1, 2)}, {0x1000, pages(2, 4)}};
  const auto image = open_bytes(dump.build());
  const Bytes second = pages(2, 4);
  EXPECT_EQ(read_at(*image->memory, 0x2000, 2 * kPageSize), pages(1, 2));
  EXPECT_EQ(read_at(*image->memory, 0x1000), Bytes(second.begin(), second.begin() + kPageSize));
  EXPECT_EQ(read_at(*image->memory, 0x4000), Bytes(second.end() - kPageSize, second.end()));
  expect_extents_cover_all(*image->memory);
}

// makedumpfile -E leaves zero pages out as a tail, and others: every reader of ELF shows zeros.
TEST(ElfReader, TailsWithoutDataAreZeroUnlessAnotherSegmentHasThem) {
  ElfDump dump;
  dump.loads = {{0x1000, pages(1), 3 * kPageSize}, {0x3000, pages(2)}, {0x8000, {}, 2 * kPageSize}};
  const auto image = open_bytes(dump.build());
  EXPECT_EQ(presence(*image->memory, 0x1000), Presence::data);
  EXPECT_EQ(presence(*image->memory, 0x2000), Presence::zero);
  EXPECT_EQ(read_at(*image->memory, 0x2000), builders::zeros(kPageSize));
  EXPECT_EQ(read_at(*image->memory, 0x3000), pages(2));
  EXPECT_EQ(presence(*image->memory, 0x4000), Presence::zero);
  EXPECT_EQ(presence(*image->memory, 0x9fff), Presence::zero);
  EXPECT_EQ(read_at(*image->memory, 0x8000, 2 * kPageSize), builders::zeros(2 * kPageSize));
  EXPECT_FALSE(image->file.incomplete);
  ASSERT_EQ(image->remarks.size(), 1U);
  EXPECT_EQ(image->remarks.front().text.substr(0, 8), "4 pages ");
  expect_extents_cover_all(*image->memory);
}

// A few KiB make no TiB of pages that would be written.
TEST(ElfReader, AClaimIsNoMemory) {
  ElfDump dump;
  dump.loads = {{0x1000, pages(1)}, {1ULL << 40, {}, 8ULL << 40}};
  const auto image = open_bytes(dump.build());
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(presence(*image->memory, 1ULL << 40), Presence::excluded);
  EXPECT_TRUE(read_at(*image->memory, 1ULL << 40).empty());
  expect_extents_cover_all(*image->memory);
}

Bytes part_of(const Bytes& page, std::size_t begin, std::size_t end) {
  return {page.begin() + static_cast<std::ptrdiff_t>(begin),
          page.begin() + static_cast<std::ptrdiff_t>(end)};
}

// As firmware tables cut it: the first and the last part have data, the middle has none.
TEST(ElfReader, APageOfSeveralSegmentsIsPutTogether) {
  const Bytes page = pages(1);
  const ElfDump dumps[] = {
      {.loads = {{0x1000, part_of(page, 0, 0x400)},
                 {0x1400, {}, 0x800},
                 {0x1c00, part_of(page, 0xc00, kPageSize)}}},
      {.loads = {{0x1c00, part_of(page, 0xc00, kPageSize)},
                 {0x1000, part_of(page, 0, 0x400), 0xc00}}},
      {.loads = {{0, {}, 3 * kPageSize},
                 {0x1c00, part_of(page, 0xc00, kPageSize)},
                 {0x1000, part_of(page, 0, 0x400)}}},
  };
  Bytes expected = page;
  std::fill(expected.begin() + 0x400, expected.begin() + 0xc00, std::byte{0});
  for (const ElfDump& dump : dumps) {
    const auto image = open_bytes(dump.build());
    EXPECT_EQ(presence(*image->memory, 0x1000), Presence::data);
    EXPECT_EQ(presence(*image->memory, 0x1600), Presence::data);
    EXPECT_EQ(read_at(*image->memory, 0x1000), expected);
    EXPECT_EQ(read_at(*image->memory, 0x1300, 0x200), part_of(expected, 0x300, 0x500));
    expect_extents_cover_all(*image->memory);
  }
}

TEST(ElfReader, APageOfWhichAPartIsLostIsLost) {
  ElfDump dump;
  dump.loads = {{0x1000, pages(1)},
                {0x2000, part_of(pages(2), 0, 0x400)},
                {0x2400, part_of(pages(2), 0x400, kPageSize)},
                {0x3000, pages(3)}};
  Bytes bytes = dump.build();
  bytes.resize(bytes.size() - kPageSize - 0x600);
  const auto image = open_bytes(bytes);
  EXPECT_EQ(presence(*image->memory, 0x1000), Presence::data);
  for (const std::uint64_t at : {0x2000U, 0x2400U, 0x2a00U, 0x3000U}) {
    EXPECT_EQ(presence(*image->memory, at), Presence::lost) << at;
  }
  EXPECT_TRUE(read_at(*image->memory, 0x2000).empty());
  ASSERT_EQ(image->remarks.size(), 1U);
  EXPECT_NE(image->remarks.front().text.find(" 2 pages "), std::string::npos)
      << image->remarks.front().text;
  expect_extents_cover_all(*image->memory);
}

// Counts what is asked of a file system that looks through the whole file each time, as tmpfs does.
class CountedSource final : public ByteSource {
 public:
  CountedSource(std::unique_ptr<ByteSource> source, std::uint64_t& runs)
      : source_(std::move(source)), runs_(runs) {}
  std::uint64_t size() const override { return source_->size(); }
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> out) const override {
    return source_->read(offset, out);
  }
  FileRun run(std::uint64_t offset) const override {
    ++runs_;
    return source_->run(offset);
  }

 private:
  std::unique_ptr<ByteSource> source_;
  std::uint64_t& runs_;
};

TEST(ElfReader, ManySegmentsOfOneRunAreOneRun) {
  ElfDump dump;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    dump.loads.push_back({i * 2 * kPageSize, pages(i)});
  }
  std::uint64_t runs = 0;
  const auto image = open_elf(
      std::make_unique<CountedSource>(*open_plain(builders::memory_file(dump.build())), runs));
  EXPECT_EQ(ram_ranges(*image->memory).ranges().size(), 1000U);
  EXPECT_LT(runs, 10U);
}

TEST(ElfReader, PartialPagesAreFilledWithZeros) {
  ElfDump dump;
  Bytes part = pages(1);
  part.resize(0xc00);
  dump.loads = {{0x1400, part}};
  const auto image = open_bytes(dump.build());
  EXPECT_EQ(image->memory->extent({0x1000}).range.size, kPageSize);
  EXPECT_EQ(read_at(*image->memory, 0x1000), builders::joined({builders::zeros(0x400), part}));
  expect_extents_cover_all(*image->memory);
}

TEST(ElfReader, FileHolesAreZero) {
  ElfDump dump;
  dump.loads = {{0x10000, builders::zeros(256 * kPageSize)}};
  const Bytes bytes = dump.build();
  Fd file = builders::memory_file();
  ASSERT_TRUE(sys::pwrite_full(file.get(), std::span(bytes).first(kPageSize), 0));
  ASSERT_TRUE(sys::truncate(file.get(), bytes.size()));
  ASSERT_TRUE(sys::pwrite_full(file.get(), pages(9), 101 * kPageSize));
  const auto image = open_dump(std::move(file));
  ASSERT_TRUE(image);
  EXPECT_EQ(presence(*image->memory, 0x10000), Presence::zero);
  EXPECT_EQ(image->memory->extent({0x10000}).range.size, 100 * kPageSize);
  EXPECT_EQ(presence(*image->memory, 0x10000 + 100 * kPageSize), Presence::data);
  EXPECT_EQ(read_at(*image->memory, 0x10000), builders::zeros(kPageSize));
  EXPECT_EQ(read_at(*image->memory, 0x10000 + 100 * kPageSize), pages(9));
  expect_extents_cover_all(*image->memory);
}

TEST(ElfReader, OnlyWholePagesInsideAHoleAreZero) {
  ElfDump dump;
  dump.like_qemu = true;
  dump.loads = {{0x10000, builders::zeros(16 * kPageSize)}};
  const Bytes bytes = dump.build();
  Fd file = builders::memory_file();
  ASSERT_TRUE(sys::pwrite_full(file.get(), std::span(bytes).first(kPageSize), 0));
  ASSERT_TRUE(sys::truncate(file.get(), bytes.size()));
  const auto image = open_dump(std::move(file));
  EXPECT_EQ(presence(*image->memory, 0x10000), Presence::data);
  EXPECT_EQ(presence(*image->memory, 0x11000), Presence::zero);
  expect_extents_cover_all(*image->memory);
}

TEST(ElfReader, IncompleteFlagIsTold) {
  ElfDump dump = two_loads();
  dump.flags = 1;
  const auto image = open_bytes(dump.build());
  EXPECT_TRUE(image->file.incomplete);
  EXPECT_EQ(image->remarks.size(), 1U);
}

// Whatever is cut off: either the headers are truncated, or the lost pages read as bad and the
// others are right.
TEST(ElfReader, EveryCutIsTold) {
  const Bytes bytes = two_loads().build();
  const Bytes first = pages(1, 2);
  for (std::size_t size = 0; size < bytes.size(); size += size < kPageSize ? 1 : 512) {
    const auto image = open_bytes({bytes.begin(), bytes.begin() + static_cast<long>(size)});
    if (!image) {
      EXPECT_LT(size, kPageSize);
      const Errc code = image.error().code;
      EXPECT_TRUE(code == Errc::truncated || (code == Errc::malformed && size < kElfFirstPhdr) ||
                  (code == Errc::not_recognised && size < 4))
          << size << ": " << image.error().message;
      continue;
    }
    EXPECT_TRUE(image->file.incomplete) << size;
    EXPECT_EQ(image->remarks.size(), 1U);
    EXPECT_EQ(presence(*image->memory, 0x101000),
              size < 3 * kPageSize ? Presence::lost : Presence::data);
    const Bytes got = read_at(*image->memory, 0x100000, 2 * kPageSize);
    EXPECT_EQ(
        got.size(),
        std::min<std::size_t>((std::max(size, kPageSize) - kPageSize) / kPageSize, 2) * kPageSize);
    EXPECT_TRUE(std::equal(got.begin(), got.end(), first.begin()));
    expect_extents_cover_all(*image->memory);
  }
}

struct Lie {
  std::uint64_t offset;
  std::uint64_t value;
  Errc expected;
};

TEST(ElfReader, LyingHeadersAreRefused) {
  const Lie lies[] = {
      {builders::kElfPhoff, 1ULL << 40, Errc::malformed},
      {builders::kElfPhoff, ~0ULL, Errc::malformed},
      {phdr(0, 8), 1ULL << 40, Errc::truncated},     // notes beyond the file
      {phdr(0, 32), 1ULL << 40, Errc::limit},        // notes too large
      {phdr(1, 24), ~0ULL - 100, Errc::malformed},   // p_paddr wraps
      {phdr(1, 24), kMaxPhysAddr, Errc::malformed},  // p_paddr beyond
      {phdr(1, 40), ~0ULL, Errc::malformed},         // p_memsz wraps
      {phdr(1, 40), 1, Errc::malformed},             // p_memsz < p_filesz
      {phdr(1, 8), ~0ULL, Errc::malformed},          // p_offset wraps
  };
  for (const Lie& lie : lies) {
    Bytes bytes = two_loads().build();
    poke(bytes, lie.offset, lie.value);
    const auto image = open_bytes(bytes);
    ASSERT_FALSE(image) << lie.offset;
    EXPECT_EQ(image.error().code, lie.expected) << image.error().message;
  }
}

TEST(ElfReader, LyingCountsAreRefused) {
  Bytes bytes = two_loads().build();
  poke(bytes, builders::kElfPhnum, std::uint16_t{0xfffe});
  EXPECT_EQ(open_bytes(bytes).error().code, Errc::truncated);
  ElfDump dump = two_loads();
  dump.extended_count = true;
  bytes = dump.build();
  poke(bytes, phdr(3, 44), std::uint32_t{0xffffffff});  // sh_info
  EXPECT_EQ(open_bytes(bytes).error().code, Errc::limit);
}

// The limit is of all notes together.
TEST(ElfReader, NotesOfSeveralHeadersAreCountedTogether) {
  ElfDump dump = two_loads();
  dump.notes = {{"A", 1, builders::zeros(23U << 20)}};
  Bytes bytes = dump.build();
  const auto note = load<Elf64_Phdr>(bytes, phdr(0, 0));
  poke(bytes, phdr(1, 0), *note);
  auto image = open_bytes(bytes);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->notes.size(), 2U);
  poke(bytes, phdr(2, 0), *note);
  image = open_bytes(bytes);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Errc::limit);
}

TEST(ElfReader, OtherMachinesAreRefusedByName) {
  struct Change {
    std::uint64_t offset;
    std::uint8_t value;
    const char* name;
  };
  for (const Change change :
       {Change{EI_CLASS, ELFCLASS32, "32-bit"}, Change{EI_DATA, ELFDATA2MSB, "big-endian"},
        Change{16, ET_EXEC, "core"}, Change{18, EM_386, "machine i386"},
        Change{18, EM_AARCH64, "machine aarch64"}, Change{18, EM_RISCV, "machine riscv64"}}) {
    Bytes bytes = two_loads().build();
    poke(bytes, change.offset, change.value);
    const auto image = open_bytes(bytes);
    ASSERT_FALSE(image) << change.name;
    EXPECT_EQ(image.error().code, Errc::unsupported);
    EXPECT_NE(image.error().message.find(change.name), std::string::npos) << image.error().message;
  }
}

// As in a kdump file, notes tell of the machine where the number is none.
TEST(ElfReader, ANumberOfNoMachineRefusesNoFile) {
  Bytes bytes = two_loads().build();
  poke(bytes, 18, std::uint8_t{0});
  EXPECT_TRUE(open_bytes(bytes));
}

// As QEMU writes them of a CPU that is not in long mode: class 32 below 4 GiB.
Bytes narrow_dump(std::uint64_t cr0, std::uint16_t machine = EM_386) {
  Note cpu = builders::qemu_note(0xfff0, 0);
  poke(cpu.desc, 392, cr0);
  const Bytes notes = serialise_notes({cpu}).bytes;
  Elf32_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_CORE;
  header.e_machine = machine;
  header.e_phoff = sizeof header;
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 2;
  Elf32_Phdr segments[2] = {};
  segments[0].p_type = PT_NOTE;
  segments[0].p_offset = sizeof header + sizeof segments;
  segments[0].p_filesz = static_cast<Elf32_Word>(notes.size());
  segments[1].p_type = PT_LOAD;
  segments[1].p_offset = segments[0].p_offset + segments[0].p_filesz;
  segments[1].p_paddr = 0x10000;
  segments[1].p_filesz = 3 * kPageSize;
  segments[1].p_memsz = 3 * kPageSize;
  Bytes bytes(segments[0].p_offset);
  poke(bytes, 0, header);
  poke(bytes, sizeof header, segments[0]);
  poke(bytes, sizeof header + sizeof segments[0], segments[1]);
  return builders::joined({bytes, notes, pages(2, 3)});
}

TEST(ElfReader, ReadsAGuestThatDoesNotPageYet) {
  const auto image = open_bytes(narrow_dump(0x60000010));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->file.format, "ELF (QEMU)");
  EXPECT_EQ(image->machine.arch, Arch::x86_64);
  ASSERT_EQ(image->cpus.size(), 1U);
  EXPECT_EQ(image->cpus.front().rip, 0xfff0U);
  EXPECT_EQ(read_at(*image->memory, 0x10000, 3 * kPageSize), pages(2, 3));
  EXPECT_EQ(image->memory->presence({0x13000}), Presence::absent);
  // With memory above 4 GiB it is of class 64.
  ElfDump wide = two_loads();
  wide.notes = {builders::qemu_note(0xfff0, 0)};
  Bytes bytes = wide.build();
  poke(bytes, 18, std::uint16_t{EM_386});
  EXPECT_TRUE(open_bytes(bytes));
}

TEST(ElfReader, A32BitGuestIsUnsupported) {
  const auto image = open_bytes(narrow_dump(0x80050033));
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().code, Errc::unsupported);
  EXPECT_NE(image.error().message.find("i386"), std::string::npos);
  EXPECT_EQ(open_bytes(narrow_dump(0x60000010, EM_ARM)).error().code, Errc::unsupported);
  EXPECT_EQ(open_bytes(narrow_dump(0x60000010, EM_X86_64)).error().code, Errc::unsupported);
  // Without QEMU's notes it is not known whether it pages.
  Bytes bytes = two_loads().build();
  poke(bytes, 18, std::uint16_t{EM_386});
  EXPECT_EQ(open_bytes(bytes).error().code, Errc::unsupported);
}

TEST(ElfReader, HeadersOfClass32AreChecked) {
  const Bytes good = narrow_dump(0x60000010);
  for (std::size_t size = 0; size < 52 + 64 + 400; size += 7) {
    EXPECT_EQ(open_bytes(Bytes(good.begin(), good.begin() + static_cast<long>(size))).error().code,
              size < 4 ? Errc::not_recognised : Errc::truncated)
        << size;
  }
  Bytes bytes = good;
  poke(bytes, 44, std::uint16_t{0xffff});  // e_phnum
  EXPECT_EQ(open_bytes(bytes).error().code, Errc::unsupported);
  bytes = good;
  poke(bytes, 42, std::uint16_t{56});  // e_phentsize
  EXPECT_EQ(open_bytes(bytes).error().code, Errc::malformed);
  bytes = good;
  poke(bytes, 28, std::uint32_t{0xfffffff0});  // e_phoff
  EXPECT_EQ(open_bytes(bytes).error().code, Errc::malformed);
}

TEST(ElfReader, ACoreOfAProcessIsUnsupported) {
  ElfDump dump;
  dump.loads = {{0, pages(1)}, {0, pages(2)}};
  EXPECT_EQ(open_bytes(dump.build()).error().code, Errc::unsupported);
}

TEST(ElfReader, ReadsFlattenedFiles) {
  const auto image = open_bytes(builders::flattened(two_loads().build(), 3000));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->file.format, "ELF flattened");
  EXPECT_EQ(read_at(*image->memory, 0x10000, 3 * kPageSize), pages(2, 3));
}

TEST(ElfReader, KnowsQemu) {
  ElfDump dump = two_loads();
  dump.notes.push_back(builders::qemu_note(1, 2));
  const auto image = open_bytes(dump.build());
  EXPECT_EQ(image->file.format, "ELF (QEMU)");
  EXPECT_EQ(image->cpus.size(), 1U);
}

}  // namespace
}  // namespace vmcore::formats
