// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/large_dump.h"

#include <unistd.h>

#include <algorithm>

#include "src/base/sys.h"
#include "src/image/page.h"
#include "src/kernel/guest_kernel.h"
#include "tests/builders/dump_builder.h"
#include "tests/builders/kernel_builder.h"

namespace vmcore::builders {
namespace {

using testing::GuestBuilder;
using testing::PageKind;

constexpr std::uint64_t kLargePage = 2U << 20;
constexpr std::uint64_t kSectionBytes = 128U << 20;
constexpr std::uint64_t kSectionPages = kSectionBytes / kPageSize;
constexpr std::uint64_t kSectionsPerRoot = 128;
constexpr std::uint64_t kMemmapBytes = kSectionPages * 64;  // a large page
// The builder's guest ends below; tables that are added lie between, frames of struct pages behind
// the first section.
constexpr std::uint64_t kBuilt = 32U << 20;

// The first two sections are the builder's: the kernel, and what all others look like.
constexpr std::uint64_t kPattern = 1;

// 2 MiB of pages of one kind, in blocks of that order, every `skip`th of them in place of a
// kernel page; the number of pages described.
std::uint64_t fill(GuestBuilder& guest, Pfn first, PageKind kind, unsigned order, unsigned skip) {
  std::uint64_t count = 0;
  const std::uint64_t step = std::uint64_t{skip} << order;
  for (std::uint64_t at = 0; at < kLargePage / kPageSize; at += step) {
    guest.page(first + at, kind, order);
    count += 1U << order;
  }
  return count;
}

// Returns the number of free pages.
std::uint64_t describe_section(GuestBuilder& guest, Pfn first) {
  std::uint64_t free = 0;
  for (std::uint64_t at = 0; at < kSectionPages;) {
    const auto next = [&](PageKind kind, unsigned order, unsigned skip) {
      const std::uint64_t count = fill(guest, first + at, kind, order, skip);
      free += kind == PageKind::free ? count : 0;
      at += kLargePage / kPageSize;
    };
    next(PageKind::anon, 9, 1);
    next(PageKind::free, 9, 1);
    next(PageKind::anon, 0, 1);
    next(PageKind::cache, 4, 1);
    next(PageKind::slab, 3, 1);
    next(PageKind::free, 0, 2);
    next(PageKind::private_cache, 0, 3);
    next(PageKind::anon, 0, 5);
  }
  return free;
}

// The guest's memory in the dump that is made.
class Memory {
 public:
  Memory(int fd, std::uint64_t offset, PhysAddr root) : fd_(fd), offset_(offset), root_(root) {}

  void write(PhysAddr at, std::span<const std::byte> bytes) {
    good_ = good_ && sys::pwrite_full(fd_, bytes, offset_ + at.value).has_value();
  }
  void write_word(PhysAddr at, std::uint64_t value) {
    write(at, std::as_bytes(std::span(&value, 1)));
  }
  PhysAddr new_page() { return {kBuilt + kPageSize * used_++}; }

  // A large page; its tables are made where they are missing.
  void map(VirtAddr from, PhysAddr to) {
    PhysAddr table = root_;
    for (const unsigned shift : {39U, 30U}) {
      const PhysAddr slot = table + (from.value >> shift & 511) * 8;
      std::uint64_t entry = 0;
      const auto got = ::pread(fd_, &entry, sizeof entry, static_cast<off_t>(offset_ + slot.value));
      good_ = good_ && got == sizeof entry;
      if (entry == 0) {
        entry = new_page().value | 0x63;
        write_word(slot, entry);
      }
      table = {entry & 0x000f'ffff'ffff'f000};
    }
    write_word(table + (from.value >> 21 & 511) * 8, to.value | 0x8000'0000'0000'01e3);
  }

  bool good() const { return good_ && kBuilt + used_ * kPageSize <= kSectionBytes; }

 private:
  int fd_;
  std::uint64_t offset_;
  PhysAddr root_;
  std::uint64_t used_ = 0;
  bool good_ = true;
};

// Writes the headers and the builder's memory; the file offset of guest-physical 0.
Result<std::uint64_t> write_elf(int fd, const GuestBuilder& guest, const MemoryImage& image,
                                std::uint64_t size) {
  Bytes first(kBuilt);
  TRY(image.memory->read({0}, first));
  Note registers = qemu_note(guest.symbol("_stext").value, guest.root().value);
  poke(registers.desc, 152 + 4 * 24 + 16, guest.per_cpu_offset(0));  // gs base
  ElfDump dump;
  dump.notes = {prstatus_note(guest.symbol("_stext").value, 0), std::move(registers),
                vmcoreinfo_note(guest.vmcoreinfo_text())};
  dump.loads.push_back({0, std::move(first)});
  Bytes elf = dump.build();
  const std::uint64_t offset = elf.size() - kBuilt;
  constexpr std::uint64_t kLoad = kElfFirstPhdr + 56;
  poke(elf, kLoad + 32, size);  // p_filesz
  poke(elf, kLoad + 40, size);  // p_memsz
  TRY(sys::pwrite_full(fd, elf, 0));
  TRY(sys::truncate(fd, offset + size));
  return offset;
}

Result<> write_memmap(const GuestBuilder& guest, const MemoryImage& image, std::uint64_t sections,
                      std::uint64_t frames, Memory& memory) {
  TRY_ASSIGN(const auto found, kernel::find_kernels(image, kernel::Search::registers));
  const VirtAddr pattern_at = guest.vmemmap() + kPattern * kMemmapBytes;
  Bytes pattern(kMemmapBytes);
  TRY(found.kernels.at(0).read_exactly(pattern_at, pattern));
  for (std::uint64_t frame = 0; frame < frames; ++frame) {
    memory.write({kSectionBytes + frame * kMemmapBytes}, pattern);
  }

  const VirtAddr roots = guest.symbol("mem_section");
  TRY_ASSIGN(const auto first_root, found.kernels.at(0).read_value<std::uint64_t>(roots));
  PhysAddr root{first_root - guest.page_offset().value};
  constexpr std::uint64_t kSectionEntry = kPageSize / kSectionsPerRoot;
  for (std::uint64_t section = kPattern + 1; section < sections; ++section) {
    if (section % kSectionsPerRoot == 0) {
      root = memory.new_page();
      memory.write_word({roots - guest.page_offset() + section / kSectionsPerRoot * 8},
                        guest.page_offset().value + root.value);
    }
    memory.write_word(root + section % kSectionsPerRoot * kSectionEntry,
                      guest.vmemmap().value | 0xf);
    memory.map(guest.vmemmap() + section * kMemmapBytes,
               {kSectionBytes + section % frames * kMemmapBytes});
  }
  return {};
}

}  // namespace

Result<> make_large_dump(std::uint64_t gibibytes, std::uint64_t frames, int fd) {
  const std::uint64_t sections = (gibibytes << 30) / kSectionBytes;
  GuestBuilder guest("6.12");
  guest.ram((kPattern + 1) * kSectionBytes >> 20);
  const std::uint64_t free = describe_section(guest, {kPattern * kSectionPages});
  guest.free_counter(static_cast<std::int64_t>(free * (sections - 1)))
      .free_lists(free * (sections - 1));
  const MemoryImage image = guest.build();
  TRY_ASSIGN(const std::uint64_t offset, write_elf(fd, guest, image, gibibytes << 30));
  Memory memory(fd, offset, guest.root());
  TRY(write_memmap(guest, image, sections, std::min(frames, sections), memory));
  return memory.good() ? Result<>() : fail(Errc::io, "the file cannot be written");
}

}  // namespace vmcore::builders
