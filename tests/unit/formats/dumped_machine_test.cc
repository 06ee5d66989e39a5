// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/elf/dumped_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "src/formats/dump_format.h"
#include "src/formats/kdump/layout.h"
#include "src/image/page.h"
#include "tests/builders/dump_builder.h"

namespace vmcore::formats {
namespace {

using builders::Bytes;
using builders::KdumpDump;
using builders::poke;
using ::testing::HasSubstr;

Result<MemoryImage> open_bytes(const Bytes& bytes) {
  return open_dump(builders::memory_file(bytes));
}

KdumpDump named(std::string_view machine, std::vector<Note> notes = {}) {
  KdumpDump dump;
  dump.pages = {{1, builders::PageKind::data, builders::pages(1)}};
  dump.machine = machine;
  dump.notes = std::move(notes);
  return dump;
}

Note prstatus_of(std::size_t size) { return {"CORE", kNoteTypePrstatus, Bytes(size)}; }

// As makedumpfile before 1.6.9 writes the names of Linux 5.11 and later.
Bytes shifted(Bytes bytes) {
  constexpr std::ptrdiff_t kNames = offsetof(KdumpHeader, sysname);
  constexpr std::ptrdiff_t kSize = 6 * 65;
  std::copy(bytes.begin() + kNames + 4, bytes.begin() + kNames + kSize, bytes.begin() + kNames);
  std::fill_n(bytes.begin() + kNames + kSize - 4, 4, std::byte{0});
  return bytes;
}

const Note kOurInfo = builders::vmcoreinfo_note("OSRELEASE=6.12\nNUMBER(phys_base)=1\n");

// QEMU 10 and later write "Unknown".
TEST(DumpedMachine, IsNotWhatTheHeaderSays) {
  const std::vector<std::vector<Note>> ours{
      {}, {builders::prstatus_note(1, 2)}, {kOurInfo}, {builders::qemu_note(1, 2)}};
  for (const std::vector<Note>& notes : ours) {
    for (const char* name : {"x86_64", "Unknown", "", "86_64", "x86_6\x7f"}) {
      const auto image = open_bytes(named(name, notes).build());
      ASSERT_TRUE(image) << name << ": " << image.error().message;
      EXPECT_EQ(image->machine.arch, Arch::x86_64);
      EXPECT_TRUE(image->remarks.empty()) << name << ": " << image->remarks.front().text;
      EXPECT_TRUE(open_bytes(shifted(named(name, notes).build()))) << name;
    }
  }
}

// A dump of a guest in its firmware has the notes that QEMU made: those of an i386.
TEST(DumpedMachine, AGuestThatDoesNotPageYetIsNoForeignOne) {
  Note cpu = builders::qemu_note(0xfff0, 0);
  for (const auto& [cr0, opens] : {std::pair(0x60000010ULL, true), {0x80050033ULL, false}}) {
    poke(cpu.desc, 392, std::uint64_t{cr0});
    for (const char* name : {"x86_64", "i386", "Unknown"}) {
      const auto image = open_bytes(named(name, {prstatus_of(144), cpu}).build());
      EXPECT_EQ(image.has_value(), opens) << name << std::hex << cr0;
    }
    EXPECT_FALSE(open_bytes(named("aarch64", {prstatus_of(144), cpu}).build()));
  }
}

TEST(DumpedMachine, NotesAreBelievedBeforeTheHeader) {
  const auto image = open_bytes(named("aarch64", {builders::prstatus_note(1, 2)}).build());
  ASSERT_TRUE(image) << image.error().message;
  ASSERT_EQ(image->remarks.size(), 1U);
  EXPECT_THAT(image->remarks.front().text, HasSubstr("machine aarch64"));
}

void expect_refused(const Bytes& bytes, std::string_view name) {
  const auto image = open_bytes(bytes);
  ASSERT_FALSE(image) << name;
  EXPECT_EQ(image.error().code, Errc::unsupported);
  EXPECT_THAT(image.error().message, HasSubstr(std::string(name)));
}

TEST(DumpedMachine, OthersAreRefusedByName) {
  for (const char* name : {"aarch64", "ppc64le", "riscv64", "i686", "s390x", "loongarch64"}) {
    expect_refused(named(name).build(), std::string("machine ") + name);
    expect_refused(shifted(named(name).build()), std::string("machine ") + name);
  }
  expect_refused(named("Unknown", {prstatus_of(392)}).build(), "machine aarch64");
  expect_refused(named("", {prstatus_of(144)}).build(), "machine i386");
  expect_refused(named("ppc64", {prstatus_of(504)}).build(), "machine ppc64;");
  expect_refused(
      named("", {builders::vmcoreinfo_note("OSRELEASE=6\nNUMBER(kimage_voffset)=1\n")}).build(),
      "machine aarch64");
}

TEST(DumpedMachine, OtherLayoutsAreRefusedByName) {
  Bytes big = named("s390x").build();
  poke(big, offsetof(KdumpHeader, version), std::uint32_t{0x06000000});
  expect_refused(big, "machine s390x");
  big = named("").build();
  poke(big, offsetof(KdumpHeader, version), std::uint32_t{0x06000000});
  expect_refused(big, "big-endian");
  Bytes narrow = named("i686").build();
  poke(narrow, offsetof(KdumpHeader, block_size), std::uint32_t{4});
  poke(narrow, 416, std::uint32_t{kPageSize});
  expect_refused(narrow, "machine i686");
  narrow = named("Unknown").build();
  poke(narrow, offsetof(KdumpHeader, block_size), std::uint32_t{4});
  poke(narrow, 416, std::uint32_t{kPageSize});
  expect_refused(narrow, "32 bits");
}

// With larger pages the sub-header tells of the notes from another place.
TEST(DumpedMachine, OthersWithLargePagesAreRefusedByName) {
  Bytes bytes = named("Unknown", {prstatus_of(392)}).build();
  bytes.resize(17 * kPageSize);
  std::copy_n(bytes.begin() + kPageSize, kPageSize, bytes.begin() + 16 * kPageSize);
  std::fill_n(bytes.begin() + kPageSize, sizeof(KdumpSubHeader), std::byte{0});
  poke(bytes, offsetof(KdumpHeader, block_size), std::uint32_t{1U << 16});
  expect_refused(bytes, "machine aarch64");
}

TEST(DumpedMachine, XenIsRefused) {
  expect_refused(named("x86_64", {kOurInfo, {"Xen", 0x1000001, Bytes(8)}}).build(), "Xen");
  expect_refused(named("", {{"VMCOREINFO_XEN", 0, Bytes(8)}}).build(), "Xen");
  builders::ElfDump elf;
  elf.loads = {{0x1000, builders::pages(1)}};
  EXPECT_TRUE(open_bytes(elf.build()));
  elf.notes.push_back({"Xen", 0x2000001, Bytes(8)});
  expect_refused(elf.build(), "Xen");
}

TEST(DumpedMachine, ElfNumbersHaveNames) {
  EXPECT_EQ(elf_machine_name(183), "aarch64");
  EXPECT_EQ(elf_machine_name(258), "loongarch64");
  EXPECT_EQ(elf_machine_name(999), "number 999");
}

}  // namespace
}  // namespace vmcore::formats
