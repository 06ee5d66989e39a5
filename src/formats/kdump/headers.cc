// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/kdump/headers.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

#include "src/formats/elf/dumped_machine.h"
#include "src/formats/elf/notes.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

// Of the C library's structure on a machine with 32 bits, where the time takes 8 bytes.
constexpr std::size_t kBlockSize32 = 416;

std::string_view text_at(std::span<const std::byte> bytes, std::size_t at, std::size_t size) {
  const auto* const text = reinterpret_cast<const char*>(bytes.data()) + at;
  return {text, ::strnlen(text, size)};
}

// A utsname that is shifted by four bytes has the first of the machine in the field before
// (makedumpfile before 1.6.9: v5.11's 9a56493f6942 took kref out of struct uts_namespace).
std::string_view machine_name(std::span<const std::byte> bytes) {
  constexpr std::size_t kField = offsetof(KdumpHeader, machine);
  const std::string_view name = text_at(bytes, kField, sizeof(KdumpHeader::machine));
  const std::string_view shifted = text_at(bytes, kField - 4, sizeof(KdumpHeader::machine));
  return !is_foreign_machine(name) && is_foreign_machine(shifted) ? shifted : name;
}

bool is_version(std::uint32_t version) { return version >= 1 && version <= kKdumpVersion; }

tl::unexpected<Error> foreign(std::string_view machine, std::string_view kind) {
  const bool named = is_foreign_machine(machine);
  return fail(Errc::unsupported, "a dump of {}{}; only x86_64 is supported",
              named ? "machine " : "a machine ", named ? machine : kind);
}

// Numbers of another byte order or width are at other places, and notes cannot be found by them.
Result<> check_layout(std::span<const std::byte> bytes, const KdumpHeader& header) {
  const std::string_view machine = machine_name(bytes);
  if (const std::uint32_t version = static_cast<std::uint32_t>(std::int32_t{header.version});
      !is_version(version) && is_version(__builtin_bswap32(version))) {
    return foreign(machine, "whose byte order is big-endian");
  }
  if (header.block_size != kPageSize && *load<ul32>(bytes, kBlockSize32) == kPageSize) {
    return foreign(machine, "with 32 bits");
  }
  return {};
}

// Only the bytes of the fields that this version has.
Result<KdumpSubHeader> read_sub_header(const ByteSource& source, std::uint64_t at,
                                       std::int32_t version) {
  static constexpr std::size_t kSizes[] = {12, 32, 48, 64, 80, sizeof(KdumpSubHeader)};
  const std::size_t size = kSizes[version - 1];
  TRY_ASSIGN(const std::vector<std::byte> bytes, read_block(source, at, size, "kdump sub-header"));
  KdumpSubHeader sub;
  std::memcpy(&sub, bytes.data(), size);
  return sub;
}

Result<std::vector<std::byte>> read_bounded(const ByteSource& source, std::uint64_t offset,
                                            std::uint64_t size, std::uint64_t most,
                                            std::string_view what) {
  if (size > most) {
    return fail(Errc::limit, "kdump sub-header: {} of {} bytes, more than {}", what, size, most);
  }
  return read_block(source, offset, size, what);
}

Result<std::vector<Note>> read_notes(const ByteSource& source, const KdumpSubHeader& sub) {
  TRY_ASSIGN(const std::vector<std::byte> block,
             read_bounded(source, sub.offset_note, sub.size_note, kMaxNotesSize, "notes"));
  return parse_notes(block, sub.offset_note);
}

bool is_vmcoreinfo(const Note& note) { return note.name == kNoteNameVmcoreinfo && note.type == 0; }

// What cannot be read is left out: the dump opens without it.
std::vector<Note> read_all_notes(const ByteSource& source, const KdumpSubHeader& sub,
                                 std::vector<Remark>& remarks) {
  std::vector<Note> notes;
  const auto doubt = [&](const Error& error) { remarks.push_back({error.code, error.message}); };
  if (sub.size_note != 0) {
    if (auto all = read_notes(source, sub); all) {
      notes = *std::move(all);
    } else {
      doubt(all.error());
    }
  }
  if (std::ranges::any_of(notes, is_vmcoreinfo) || sub.size_vmcoreinfo == 0) {
    return notes;
  }
  if (auto text = read_bounded(source, sub.offset_vmcoreinfo, sub.size_vmcoreinfo,
                               kMaxVmcoreinfoSize, "VMCOREINFO");
      text) {
    notes.push_back({std::string(kNoteNameVmcoreinfo), 0, *std::move(text)});
  } else {
    doubt(text.error());
  }
  return notes;
}

// Another machine may have larger blocks, and then its notes are told of in another place.
Result<> check_blocks(const ByteSource& source, const KdumpHeaders& headers,
                      std::string_view machine, std::vector<Remark>& remarks) {
  const std::uint32_t size = headers.main.block_size;
  if (size == kPageSize) {
    return {};
  }
  if (std::has_single_bit(size) && size > kPageSize && size <= (1U << 16)) {
    if (const auto sub = read_sub_header(source, size, headers.version); sub) {
      std::vector<Remark> ignored;
      TRY(check_machine(machine, read_all_notes(source, *sub, ignored), ignored));
    }
  }
  remarks.push_back({Errc::malformed,
                     fmt::format("kdump header: blocks of {} bytes; read as {}", size, kPageSize)});
  return {};
}

// Of one part of several, the descriptors are of its own pages only, the bitmaps of all.
Result<> check_split(const KdumpHeaders& headers, std::vector<Remark>& remarks) {
  const KdumpSubHeader& sub = headers.sub;
  if (sub.split == 0) {
    return {};
  }
  const bool wide = headers.version >= kKdumpVersion;
  const std::uint64_t start = wide ? sub.start_pfn_64 : sub.start_pfn;
  const std::uint64_t end = wide ? sub.end_pfn_64 : sub.end_pfn;
  const std::uint64_t all =
      wide ? std::uint64_t{sub.max_mapnr_64} : std::uint64_t{headers.main.max_mapnr};
  if (start != 0 || (end != 0 && end < all)) {  // makedumpfile writes empty parts, too
    return fail(Errc::unsupported,
                "one part of a split dump (page frames {:#x} to {:#x}): join the parts with "
                "makedumpfile --reassemble",
                start, end);
  }
  if (end == 0) {
    remarks.push_back({Errc::malformed,
                       "kdump sub-header: it is marked as part of a split dump, but names no part; "
                       "read as a whole"});
  }
  return {};
}

// What two bitmaps take for that many pages.
std::uint64_t blocks_for(std::uint64_t max_mapnr) {
  return 2 * ceil_div(ceil_div(max_mapnr, 8), kPageSize);
}

Result<KdumpReading> reading(std::uint64_t max_mapnr, std::uint64_t sub_header_blocks,
                             std::uint64_t bitmap_blocks, std::uint64_t file_size) {
  if (max_mapnr > kMaxPhysAddr / kPageSize) {
    return fail(Errc::malformed, "kdump header: {:#x} page frames, more than {:#x}", max_mapnr,
                kMaxPhysAddr / kPageSize);
  }
  KdumpReading result{.max_mapnr = max_mapnr,
                      .bitmaps = (1 + sub_header_blocks) * kPageSize,
                      .bitmap_size = bitmap_blocks / 2 * kPageSize,
                      .doubted = {}};
  if (bitmap_blocks % 2 != 0 || result.bitmap_size * 8 < max_mapnr) {
    return fail(Errc::malformed, "kdump header: two bitmaps in {} blocks cannot hold {:#x} pages",
                bitmap_blocks, max_mapnr);
  }
  if (result.descs() > file_size) {
    return fail(Errc::truncated, "the file ends after {} bytes, inside its bitmaps (up to {:#x})",
                file_size, result.descs());
  }
  return result;
}

// Blocks of the sub-header and the notes behind it.
std::uint64_t sub_header_blocks(const KdumpSubHeader& sub) {
  std::uint64_t end = kPageSize + sizeof(KdumpSubHeader);
  const auto reach = [&](std::uint64_t offset, std::uint64_t size) {
    if (size != 0 && size <= kMaxNotesSize && offset <= kMaxNotesSize) {
      end = std::max(end, offset + size);
    }
  };
  reach(sub.offset_note, sub.size_note);
  reach(sub.offset_vmcoreinfo, sub.size_vmcoreinfo);
  return ceil_div(end - kPageSize, kPageSize);
}

}  // namespace

Result<KdumpHeaders> read_kdump_headers(const ByteSource& source, std::vector<Remark>& remarks) {
  TRY_ASSIGN(const std::vector<std::byte> bytes,
             read_block(source, 0, sizeof(KdumpHeader), "kdump header"));
  KdumpHeaders headers;
  headers.main = *load<KdumpHeader>(bytes, 0);
  TRY(check_layout(bytes, headers.main));
  const std::int32_t version = headers.main.version;
  if (is_version(static_cast<std::uint32_t>(version))) {
    headers.version = version;
  } else {
    remarks.push_back(
        {Errc::unsupported, fmt::format("kdump header: unknown version {}; read as version {}",
                                        version, headers.version)});
  }
  const std::string_view machine = machine_name(bytes);
  TRY(check_blocks(source, headers, machine, remarks));
  TRY_ASSIGN(headers.sub, read_sub_header(source, kPageSize, headers.version));
  headers.notes = read_all_notes(source, headers.sub, remarks);
  TRY_ASSIGN(headers.arch, check_machine(machine, headers.notes, remarks));
  TRY(check_split(headers, remarks));
  return headers;
}

Result<std::vector<KdumpReading>> kdump_readings(const KdumpHeaders& headers,
                                                 std::uint64_t file_size) {
  const KdumpHeader& main = headers.main;
  const bool wide = headers.version >= kKdumpVersion;
  const std::uint64_t max_mapnr =
      wide ? std::uint64_t{headers.sub.max_mapnr_64} : std::uint64_t{main.max_mapnr};
  auto as_it_is = reading(max_mapnr, main.sub_header_blocks, main.bitmap_blocks, file_size);
  std::vector<KdumpReading> readings;
  if (as_it_is) {
    readings.push_back(*as_it_is);
  }
  const auto add = [&](std::uint64_t pages, std::uint64_t sub, std::uint64_t bitmaps,
                       std::string_view doubted) {
    auto other = reading(pages, sub, bitmaps, file_size);
    if (other && pages != 0 &&
        (!as_it_is || other->max_mapnr != as_it_is->max_mapnr ||
         other->bitmaps != as_it_is->bitmaps || other->bitmap_size != as_it_is->bitmap_size)) {
      other->doubted = doubted;
      readings.push_back(*std::move(other));
    }
  };
  if (wide && main.max_mapnr != std::numeric_limits<std::uint32_t>::max()) {
    add(main.max_mapnr, main.sub_header_blocks, main.bitmap_blocks, "max_mapnr_64");
  }
  add(std::uint64_t{main.bitmap_blocks} / 2 * kPageSize * 8, main.sub_header_blocks,
      main.bitmap_blocks, "max_mapnr");
  add(max_mapnr, main.sub_header_blocks, blocks_for(max_mapnr), "bitmap_blocks");
  add(max_mapnr, sub_header_blocks(headers.sub), main.bitmap_blocks, "sub_header_blocks");
  if (readings.empty()) {
    return tl::unexpected(as_it_is.error());
  }
  return readings;
}

}  // namespace vmcore::formats
