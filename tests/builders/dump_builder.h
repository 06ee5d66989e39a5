// SPDX-License-Identifier: GPL-2.0-or-later
// Small dump files, built field by field from a description: independent of the writers under
// test, and able to lie.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/formats/codec.h"
#include "src/image/image.h"

namespace vmcore::builders {

using Bytes = std::vector<std::byte>;

// An unlinked file in memory with these contents.
Fd memory_file(std::span<const std::byte> contents = {});
Bytes file_contents(int fd);

// Pages whose every word differs from any other seed's; they compress a little.
Bytes pages(std::uint64_t seed, std::size_t count = 1);
Bytes random_page(std::uint64_t seed);
Bytes zeros(std::size_t size);
Bytes joined(std::initializer_list<Bytes> parts);
Bytes text(std::string_view characters);

Note vmcoreinfo_note(std::string_view contents = "OSRELEASE=6.1.0-test\n");
// NT_PRSTATUS with this rip and rsp.
Note prstatus_note(std::uint64_t rip, std::uint64_t rsp);
// QEMU's CPU note with this rip and cr3.
Note qemu_note(std::uint64_t rip, std::uint64_t cr3);

struct ElfLoad {
  std::uint64_t physical = 0;
  Bytes bytes;
  std::uint64_t tail = 0;  // p_memsz beyond p_filesz
};

// An ELF dump of x86-64. `build` lays it out as /proc/vmcore does, or as QEMU 7.2 and later do.
struct ElfDump {
  std::vector<Note> notes{vmcoreinfo_note()};
  std::vector<ElfLoad> loads;
  bool like_qemu = false;       // section header first, e_ehsize 8, data at any offset
  bool extended_count = false;  // PN_XNUM, whatever the number
  std::uint32_t flags = 0;
  Bytes build() const;
};

// Offsets of fields, to write lies there.
inline constexpr std::uint64_t kElfPhoff = 32;
inline constexpr std::uint64_t kElfPhnum = 56;
inline constexpr std::uint64_t kElfFirstPhdr = 64;  // PT_NOTE; PT_LOADs follow, 56 bytes each

enum class PageKind { data, zero, excluded, lost };

struct KdumpPage {
  std::uint64_t pfn = 0;
  PageKind kind = PageKind::data;
  Bytes bytes;
  Codec codec = Codec::none;
};

// A kdump-compressed dump. Pages must be in order.
struct KdumpDump {
  int version = 6;
  std::vector<KdumpPage> pages;
  std::vector<Note> notes{vmcoreinfo_note()};
  std::string vmcoreinfo;  // outside the notes
  std::uint32_t level = 0;
  std::uint32_t status = 0;
  std::int64_t crash_time = 0;
  std::string machine = "x86_64";
  // As vmcorectl writes it: the header tells the number of pages, and the page of zeros begins a
  // block. Else as makedumpfile and QEMU do: it follows the last descriptor.
  bool like_ours = false;
  Bytes build() const;
};

// Where the parts of such a file begin, as its own header says.
struct KdumpParts {
  explicit KdumpParts(std::span<const std::byte> file);
  std::uint64_t ram = 0, kept = 0;  // the bitmaps
  std::uint64_t descs = 0;
};

// Changes one bit of a bitmap at that offset.
void flip_bit(Bytes& bytes, std::uint64_t bitmap, std::uint64_t bit);

// The file as a stream of records of at most `record_size` bytes; with its end mark.
Bytes flattened(std::span<const std::byte> file, std::size_t record_size);
Bytes flattened_header();
Bytes flattened_record(std::uint64_t offset, std::span<const std::byte> data);
Bytes flattened_end();

// Writes the value over the bytes at the offset.
template <class T>
void poke(Bytes& bytes, std::uint64_t offset, T value) {
  const auto source = std::as_bytes(std::span<const T, 1>(&value, 1));
  std::ranges::copy(source, bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

}  // namespace vmcore::builders
