// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/process_memory.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <utility>

#include "src/base/sys.h"
#include "src/base/threads.h"
#include "src/image/page.h"

namespace vmcore::sources {
namespace {

// The least run of untouched memory that is told of: what one read of pagemap covers.
constexpr std::uint64_t kBlockPages = 512;
constexpr std::uint64_t kBlock = kBlockPages * kPageSize;

// Linux Documentation/admin-guide/mm/pagemap.rst: bit 63 present, bit 62 swapped.
constexpr std::uint64_t kPresentOrSwapped = 3ULL << 62;

using PagemapEntries = std::array<std::uint64_t, kBlockPages>;

// Entries of the pages from `address` on, at most kBlockPages.
Result<> read_pagemap(int pagemap, std::uint64_t address, std::size_t pages,
                      PagemapEntries& entries) {
  const auto bytes = std::as_writable_bytes(std::span(entries).first(pages));
  TRY_ASSIGN(const std::size_t got,
             sys::pread_full(pagemap, bytes, address / kPageSize * sizeof(std::uint64_t)));
  if (got != bytes.size()) {
    return fail(Errc::io, "the guest's process has ended");
  }
  return {};
}

bool has_page(std::uint64_t entry) { return (entry & kPresentOrSwapped) != 0; }

// The pages at the start of `entries` that are alike in whether the process has them.
std::size_t alike(std::span<const std::uint64_t> entries) {
  const bool there = has_page(entries.front());
  return static_cast<std::size_t>(
      std::ranges::find_if(entries, [&](std::uint64_t entry) { return has_page(entry) != there; }) -
      entries.begin());
}

// Reads by read(part, its address) as far as it goes: a poisoned page, or one that is no longer
// mapped, ends it.
template <class Read>
std::size_t read_while_good(std::uint64_t address, std::span<std::byte> out, Read read) {
  if (const Result<std::size_t> got = read(out, address)) {
    return *got;
  }
  std::size_t done = 0;
  while (done < out.size()) {
    const std::size_t size =
        std::min<std::size_t>(out.size() - done, kPageSize - (address + done) % kPageSize);
    const Result<std::size_t> got = read(out.subspan(done, size), address + done);
    if (!got || *got != size) {
      break;
    }
    done += size;
  }
  return done;
}

}  // namespace

Result<std::unique_ptr<ProcessMemory>> ProcessMemory::make(ImageSource source,
                                                           const ProcessReader& reader,
                                                           GuestIs guest, const Copier* copier) {
  PhysAddr end{0};
  for (const Piece& piece : source.pieces) {
    const bool ordered = piece.range.begin >= end && piece.range.size != 0 &&
                         piece.range.size <= kMaxPhysAddr &&
                         piece.range.begin.value <= kMaxPhysAddr - piece.range.size;
    const bool known = !piece.file || piece.file->file < source.files.size();
    if (!ordered || !known || (!piece.file && !piece.address)) {
      return fail(Errc::malformed, "worker protocol: an impossible piece of memory at {:#x}",
                  piece.range.begin.value);
    }
    end = piece.range.end();
  }
  std::unique_ptr<ProcessMemory> memory(new ProcessMemory(reader, std::move(source.pagemap),
                                                          std::move(source.pieces), guest, copier));
  for (Fd& file : source.files) {
    struct statfs system {};
    const bool huge = ::fstatfs(file.get(), &system) == 0 && system.f_type == HUGETLBFS_MAGIC;
    TRY_ASSIGN(auto bytes, formats::open_plain(std::move(file)));
    memory->files_.push_back({std::move(bytes), huge});
  }
  return memory;
}

std::vector<Piece>::const_iterator ProcessMemory::piece_at(PhysAddr address) const {
  return std::ranges::upper_bound(pieces_, address, {},
                                  [](const Piece& piece) { return piece.range.end(); });
}

Extent ProcessMemory::outline(PhysAddr address) const {
  const auto piece = piece_at(address);
  if (piece == pieces_.end()) {
    return {{address, kMaxPhysAddr - address.value}, Presence::absent};
  }
  if (!piece->range.contains(address)) {
    return {{address, piece->range.begin - address}, Presence::absent};
  }
  return {{address, piece->range.end() - address}, Presence::data};
}

Extent ProcessMemory::extent(PhysAddr address) const {
  const Extent run = outline(address);
  if (run.presence == Presence::absent) {
    return run;
  }
  const Piece& piece = *piece_at(address);
  if (!piece.address) {
    return file_extent(piece, address);
  }
  return piece.file ? run : anonymous_extent(piece, address);
}

Presence ProcessMemory::presence(PhysAddr address) const {
  const auto piece = piece_at(address);
  const bool there = piece != pieces_.end() && piece->range.contains(address);
  return there ? Presence::data : Presence::absent;
}

// Holes shorter than a block are data, which reads as zeros all the same.
Extent ProcessMemory::file_extent(const Piece& piece, PhysAddr address) const {
  const formats::ByteSource& file = *files_[piece.file->file].bytes;
  const std::uint64_t left = piece.range.end() - address;
  const std::uint64_t offset = piece.file->offset + (address - piece.range.begin);
  std::uint64_t size = 0;
  while (size < left) {
    const formats::FileRun run = file.run(offset + size);
    const bool hole = run.hole && run.size >= kBlock;
    if (run.size == 0 || (hole && size != 0)) {
      break;
    }
    size += std::min(run.size, left - size);
    if (hole) {
      return {{address, page_floor(size)}, Presence::zero};
    }
  }
  // A file that is too short has lost what is not there.
  return {{address, size == 0 ? left : size}, Presence::data};
}

Extent ProcessMemory::anonymous_extent(const Piece& piece, PhysAddr address) const {
  const std::uint64_t left = piece.range.end() - address;
  const std::uint64_t start = *piece.address + (address - piece.range.begin);
  std::uint64_t size = 0;
  bool zero = false;
  PagemapEntries entries;
  while (size < left) {
    const std::uint64_t block = std::min(kBlock - (start + size) % kBlock, left - size);
    const std::size_t pages = ceil_div(block, kPageSize);
    const Result<> read = read_pagemap(pagemap_.get(), start + size, pages, entries);
    const auto seen = std::span(entries).first(pages);
    const bool none = read && block % kPageSize == 0 && std::ranges::none_of(seen, has_page);
    if (size != 0 && none != zero) {
      break;
    }
    zero = none;
    size += block;
  }
  return {{address, size}, zero ? Presence::zero : Presence::data};
}

Result<ReadExtent> ProcessMemory::read(PhysAddr address, std::span<std::byte> out) const {
  std::size_t done = 0;
  for (auto piece = piece_at(address); done < out.size(); ++piece) {
    const PhysAddr at = address + done;
    if (piece == pieces_.end() || !piece->range.contains(at)) {
      return ReadExtent{done, PhysAddr{page_floor(at.value)}};
    }
    const std::uint64_t skip = at - piece->range.begin;
    const auto part =
        out.subspan(done, std::min<std::uint64_t>(out.size() - done, piece->range.size - skip));
    TRY_ASSIGN(const std::size_t good, read_piece(*piece, skip, part));
    done += good;
    if (good < part.size()) {
      return ReadExtent{done, PhysAddr{page_floor((address + done).value)}};
    }
  }
  return ReadExtent{done, std::nullopt};
}

std::optional<std::uint64_t> ProcessMemory::address_for_copier(const ReadPart& part) const {
  const std::span<std::byte> room = copier_->room();
  const auto piece = piece_at(part.address);
  const std::size_t size = part.out.size();
  if (piece == pieces_.end() || !piece->address || !piece->range.contains(part.address) ||
      size > piece->range.end() - part.address || part.address.value % kPageSize != 0 ||
      size % kPageSize != 0 || size > kBlock || part.out.data() < room.data() ||
      part.out.data() + size > room.data() + room.size()) {
    return std::nullopt;
  }
  return *piece->address + (part.address - piece->range.begin);
}

std::uint64_t ProcessMemory::end_of_near(std::uint64_t begin,
                                         std::span<const ReadPart> parts) const {
  std::uint64_t end = begin + parts.front().out.size();
  for (const ReadPart& part : parts.subspan(1)) {
    const auto address = address_for_copier(part);
    if (!address || *address < end || *address - begin + part.out.size() > kBlock) {
      break;
    }
    end = *address + part.out.size();
  }
  return end;
}

// Of fragmented memory there are many small parts: a read of pagemap for each would take longer
// than copying them.
void ProcessMemory::find_what_is_for_copier(std::span<const ReadPart> parts,
                                            std::span<unsigned char> is_for) const {
  PagemapEntries entries;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // of the addresses whose entries are known
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto address = address_for_copier(parts[i]);
    if (!address) {
      continue;
    }
    const std::size_t size = parts[i].out.size();
    if (*address < begin || *address + size > end) {
      begin = *address;
      end = end_of_near(begin, parts.subspan(i));
      if (!read_pagemap(pagemap_.get(), begin, (end - begin) / kPageSize, entries)) {
        return;
      }
    }
    const auto seen = std::span(entries).subspan((*address - begin) / kPageSize, size / kPageSize);
    is_for[i] = std::ranges::all_of(seen, has_page) ? 1 : 0;
  }
}

std::size_t ProcessMemory::put_first_what_is_for_copier(std::span<ReadPart> parts,
                                                        unsigned threads) const {
  constexpr std::size_t kPortion = 64;
  std::vector<unsigned char> is_for(parts.size());
  std::atomic<std::size_t> next{0};
  on_threads(threads, [&](unsigned) {
    for (std::size_t i = next.fetch_add(kPortion); i < parts.size(); i = next.fetch_add(kPortion)) {
      const std::size_t count = std::min(kPortion, parts.size() - i);
      find_what_is_for_copier(parts.subspan(i, count), std::span(is_for).subspan(i, count));
    }
  });
  std::size_t count = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (is_for[i] != 0) {
      std::swap(parts[count++], parts[i]);
    }
  }
  return count;
}

Result<> ProcessMemory::read_parts(std::span<ReadPart> parts, unsigned threads) const {
  if (copier_ == nullptr) {
    return PhysicalMemory::read_parts(parts, threads);
  }
  const auto copied = parts.first(put_first_what_is_for_copier(parts, threads));
  std::vector<sandbox::CopyEntry> entries;
  for (const ReadPart& part : copied) {
    const Piece& piece = *piece_at(part.address);
    entries.push_back({*piece.address + (part.address - piece.range.begin),
                       static_cast<std::uint64_t>(part.out.data() - copier_->room().data()),
                       part.out.size()});
  }
  TRY(copier_->copy(entries));
  for (std::size_t i = 0; i < copied.size(); ++i) {
    copied[i].good = entries[i].size;
  }
  // Where a page cannot be had, or the copier may not copy.
  const auto left = std::partition(copied.begin(), copied.end(), [](const ReadPart& part) {
    return part.good >= part.out.size();
  });
  return PhysicalMemory::read_parts({left, parts.end()}, threads);
}

Result<std::size_t> ProcessMemory::read_piece(const Piece& piece, std::uint64_t skip,
                                              std::span<std::byte> out) const {
  if (!piece.address) {
    return read_behind(piece, skip, out);
  }
  return read_recent(piece, skip, out) ? out.size() : read_private(piece, skip, out);
}

bool ProcessMemory::read_recent(const Piece& piece, std::uint64_t skip,
                                std::span<std::byte> out) const {
  const std::uint64_t address = *piece.address + skip;
  if (out.size() > kPageSize || !RecentBlocks::fits(address, out.size())) {
    return false;
  }
  if (recent_.find(address, out)) {
    return true;
  }
  const std::uint64_t block = address / RecentBlocks::kSize * RecentBlocks::kSize;
  if (block < *piece.address || block + RecentBlocks::kSize > *piece.address + piece.range.size) {
    return false;
  }
  constexpr std::size_t kPages = RecentBlocks::kSize / kPageSize;
  PagemapEntries entries;
  std::array<std::byte, RecentBlocks::kSize> bytes;
  const bool whole = read_pagemap(pagemap_.get(), block, kPages, entries) &&
                     std::ranges::all_of(std::span(entries).first(kPages), has_page) &&
                     reader_.read(block, bytes) == bytes.size();
  if (whole) {
    recent_.keep(block, bytes);
    std::ranges::copy(std::span(bytes).subspan(address - block, out.size()), out.begin());
  }
  return whole;
}

Result<std::size_t> ProcessMemory::read_private(const Piece& piece, std::uint64_t skip,
                                                std::span<std::byte> out) const {
  PagemapEntries entries;
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t address = *piece.address + skip + done;
    const std::uint64_t into_page = address % kPageSize;
    const std::size_t pages =
        std::min<std::size_t>(kBlockPages, ceil_div(into_page + (out.size() - done), kPageSize));
    TRY(read_pagemap(pagemap_.get(), address, pages, entries));
    std::span<const std::uint64_t> seen = std::span(entries).first(pages);
    for (std::uint64_t in_run = into_page; !seen.empty(); in_run = 0) {
      const std::size_t run = alike(seen);
      const std::size_t size = std::min<std::size_t>(run * kPageSize - in_run, out.size() - done);
      const auto part = out.subspan(done, size);
      std::size_t good = 0;
      if (has_page(seen.front()) || in_huge_pages(piece)) {
        good = read_while_good(
            *piece.address + skip + done, part,
            [&](std::span<std::byte> some, std::uint64_t at) { return reader_.read(at, some); });
      } else {
        good = read_behind(piece, skip + done, part);
      }
      done += good;
      if (good < part.size()) {
        return done;
      }
      seen = seen.subspan(run);
    }
  }
  return done;
}

std::size_t ProcessMemory::read_behind(const Piece& piece, std::uint64_t skip,
                                       std::span<std::byte> out) const {
  if (piece.file) {
    const formats::ByteSource& file = *files_[piece.file->file].bytes;
    return read_while_good(
        piece.file->offset + skip, out,
        [&](std::span<std::byte> some, std::uint64_t at) { return file.read(at, some); });
  }
  std::ranges::fill(out, std::byte{0});
  return out.size();
}

// pagemap shows a huge page that is poisoned, or on its way to another place, as none (Linux
// fs/proc/task_mmu.c, pagemap_hugetlb_range, v6.12): these are read in the process, where the one
// is an error and the other is waited for. The host has set memory aside for those that are truly
// none.
bool ProcessMemory::in_huge_pages(const Piece& piece) const {
  return piece.file && files_[piece.file->file].huge_pages;
}

}  // namespace vmcore::sources
