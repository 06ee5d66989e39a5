// SPDX-License-Identifier: GPL-2.0-or-later
// What the ELF writer writes, read by elfutils' libelf.
#include <gelf.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "src/formats/dump_writer.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;

struct CloseElf {
  void operator()(Elf* elf) const { elf_end(elf); }
};
using ElfHandle = std::unique_ptr<Elf, CloseElf>;

ElfHandle open_elf_file(int file) {
  elf_version(EV_CURRENT);
  return ElfHandle(elf_begin(file, ELF_C_READ, nullptr));
}

std::vector<GElf_Phdr> program_headers(Elf* elf) {
  std::size_t count = 0;
  EXPECT_EQ(elf_getphdrnum(elf, &count), 0) << elf_errmsg(-1);
  std::vector<GElf_Phdr> headers(count);
  for (std::size_t i = 0; i < count; ++i) {
    EXPECT_NE(gelf_getphdr(elf, static_cast<int>(i), &headers[i]), nullptr) << elf_errmsg(-1);
  }
  return headers;
}

std::vector<Note> notes_in(Elf* elf, const GElf_Phdr& segment) {
  Elf_Data* const data = elf_getdata_rawchunk(elf, static_cast<std::int64_t>(segment.p_offset),
                                              segment.p_filesz, ELF_T_NHDR);
  std::vector<Note> notes;
  GElf_Nhdr header;
  std::size_t name = 0;
  std::size_t desc = 0;
  for (std::size_t at = 0;
       data != nullptr && (at = gelf_getnote(data, at, &header, &name, &desc)) != 0;) {
    const auto* const bytes = static_cast<const std::byte*>(data->d_buf);
    notes.push_back({reinterpret_cast<const char*>(bytes) + name, header.n_type,
                     Bytes(bytes + desc, bytes + desc + header.n_descsz)});
  }
  return notes;
}

// Each page has contents of its own, wherever a run begins.
Bytes pages_of(std::uint64_t pfn, std::uint64_t count) {
  Bytes all;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Bytes page = builders::pages(pfn + i);
    all.insert(all.end(), page.begin(), page.end());
  }
  return all;
}

DumpHeader header_of(const PageSet& ram, const PageSet& kept) {
  DumpHeader header;
  header.machine.arch = Arch::x86_64;
  header.notes = {builders::prstatus_note(1, 2),
                  builders::qemu_note(3, 4),
                  builders::vmcoreinfo_note(),
                  {"ODD", 7, builders::text("five!")}};
  header.ram_end = ram.end();
  header.ram_pages = ram.count();
  header.kept_pages = kept.count();
  return header;
}

// Page frames 3 to 9 and 20, of which 5 is excluded, in the kernel's image and in the direct map.
class ElfOracle : public ::testing::Test {
 protected:
  ElfOracle() {
    ram_.insert({{3}, 7});
    ram_.insert({{20}, 1});
    kept_.insert(ram_);
    kept_.erase({{5}, 1});
    kept_.index();
    header_ = header_of(ram_, kept_);
    header_.segments = {{{{3 * kPageSize}, 2 * kPageSize}, {0xffffffff81000000}},
                        {{{0}, 21 * kPageSize}, {0xffff888000000000}}};
    const auto writer = *make_elf_writer(file_.get());
    EXPECT_TRUE(writer->begin(header_));
    EXPECT_TRUE(writer->plan(ram_, kept_));
    const auto encoder = *writer->encoder();
    for (PfnRange run = kept_.next_run({0}, kept_.end()); run.count != 0;
         run = kept_.next_run(run.end(), kept_.end())) {
      const Bytes bytes = pages_of(run.first.value, run.count);
      const PageRun one{run.first, bytes};
      EXPECT_TRUE(encoder->write(std::span(&one, 1)));
    }
    EXPECT_TRUE(writer->finish(false));
    elf_ = open_elf_file(file_.get());
  }

  PageSet ram_, kept_;
  DumpHeader header_;
  Fd file_ = builders::memory_file();
  ElfHandle elf_;
};

TEST_F(ElfOracle, ReadsTheHeader) {
  ASSERT_TRUE(elf_) << elf_errmsg(-1);
  EXPECT_EQ(elf_kind(elf_.get()), ELF_K_ELF);
  GElf_Ehdr header;
  ASSERT_NE(gelf_getehdr(elf_.get(), &header), nullptr) << elf_errmsg(-1);
  EXPECT_EQ(header.e_ident[EI_CLASS], ELFCLASS64);
  EXPECT_EQ(header.e_ident[EI_DATA], ELFDATA2LSB);
  EXPECT_EQ(header.e_type, ET_CORE);
  EXPECT_EQ(header.e_machine, EM_X86_64);
  EXPECT_EQ(header.e_flags, 0U);
}

TEST_F(ElfOracle, ReadsTheSameProgramHeaders) {
  struct Load {
    std::uint64_t pfn, virtual_begin, pages;
    bool operator==(const Load&) const = default;
  };
  const std::vector<Load> expected{{3, 0xffffffff81000000, 2},
                                   {3, 0xffff888000003000, 2},
                                   {6, 0xffff888000006000, 4},
                                   {20, 0xffff888000014000, 1}};
  const auto headers = program_headers(elf_.get());
  ASSERT_EQ(headers.size(), 1 + expected.size());
  EXPECT_EQ(headers[0].p_type, static_cast<GElf_Word>(PT_NOTE));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const GElf_Phdr& load = headers[i + 1];
    EXPECT_EQ(load.p_type, static_cast<GElf_Word>(PT_LOAD));
    EXPECT_EQ(load.p_filesz, load.p_memsz);
    EXPECT_EQ((Load{load.p_paddr / kPageSize, load.p_vaddr, load.p_memsz / kPageSize}), expected[i])
        << i;
    std::size_t size = 0;
    const char* const raw = elf_rawfile(elf_.get(), &size);
    ASSERT_LE(load.p_offset + load.p_filesz, size);
    const auto bytes = std::as_bytes(std::span(raw, size)).subspan(load.p_offset, load.p_filesz);
    EXPECT_EQ(Bytes(bytes.begin(), bytes.end()), pages_of(expected[i].pfn, expected[i].pages)) << i;
  }
}

TEST_F(ElfOracle, ReadsTheSameNotes) {
  const auto notes = notes_in(elf_.get(), program_headers(elf_.get()).at(0));
  ASSERT_EQ(notes.size(), header_.notes.size());
  for (std::size_t i = 0; i < notes.size(); ++i) {
    EXPECT_EQ(notes[i].name, header_.notes[i].name) << i;
    EXPECT_EQ(notes[i].type, header_.notes[i].type) << i;
    EXPECT_EQ(notes[i].desc, header_.notes[i].desc) << i;
  }
}

// More program headers than e_phnum can count are counted in a section header.
TEST(ElfOracleOfMany, CountsProgramHeaders) {
  for (const std::uint64_t count : {65533U, 65534U, 70000U}) {
    PageSet kept;
    for (std::uint64_t i = 0; i < count; ++i) {
      kept.insert({{2 * i}, 1});
    }
    kept.index();
    const Fd file = builders::memory_file();
    const auto writer = *make_elf_writer(file.get());
    ASSERT_TRUE(writer->begin(header_of(kept, kept)));
    ASSERT_TRUE(writer->plan(kept, kept));
    ASSERT_TRUE(writer->finish(false));
    const ElfHandle elf = open_elf_file(file.get());
    const auto headers = program_headers(elf.get());
    ASSERT_EQ(headers.size(), count + 1);
    EXPECT_EQ(headers.back().p_paddr, 2 * (count - 1) * kPageSize);
    EXPECT_EQ(notes_in(elf.get(), headers.front()).size(), 4U);
  }
}

}  // namespace
}  // namespace vmcore::formats
