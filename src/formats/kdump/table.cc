// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/kdump/table.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "src/formats/codec.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

constexpr std::uint64_t kNowhere = std::numeric_limits<std::uint64_t>::max();
// Descriptors that are read at a time, and of those behind the last one that are looked at.
constexpr std::uint64_t kBatch = 4096;
constexpr std::uint64_t kBehind = 512;

bool is_well_formed(const PageDesc& desc) {
  const std::optional<Codec> codec = codec_from_flags(desc.flags);
  return desc.offset != 0 && desc.size != 0 && desc.size <= kPageSize && codec &&
         (*codec != Codec::none || desc.size == kPageSize);
}

bool is_empty(const PageDesc& desc) { return desc.offset == 0 && desc.size == 0; }

// A number of 64 bits that tells offsets apart (splitmix64).
std::uint64_t mixed(std::uint64_t value) {
  value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
  value = (value ^ value >> 27) * 0x94d049bb133111eb;
  return value ^ value >> 31;
}

// Descriptors from `descs` on, in batches. Those behind the end of the file are zeros.
class Table {
 public:
  Table(const ByteSource& source, std::uint64_t descs) : source_(source), descs_(descs) {}

  Result<PageDesc> at(std::uint64_t rank) {
    if (rank < first_ || rank - first_ >= batch_.size()) {
      batch_.assign(kBatch, PageDesc{});
      first_ = rank;
      const auto bytes = std::as_writable_bytes(std::span(batch_));
      TRY_ASSIGN(const std::size_t got, source_.read(descs_ + rank * sizeof(PageDesc), bytes));
      if (got % sizeof(PageDesc) != 0) {
        batch_[got / sizeof(PageDesc)] = PageDesc{};
      }
    }
    return batch_[rank - first_];
  }

 private:
  const ByteSource& source_;
  std::uint64_t descs_;
  std::uint64_t first_ = 0;
  std::vector<PageDesc> batch_;
};

// What all usable descriptors tell together, without holding them.
class Tiling {
 public:
  void add(const PageDesc& desc) {
    const std::uint64_t offset = desc.offset;
    const std::uint64_t end = offset + desc.size;
    if (offset < begin_) {
      begin_ = offset;
      shared_ = 0;
    }
    shared_ += offset == begin_ && desc.flags == 0 ? 1U : 0U;
    end_ = std::max(end_, end);
    sum_ += mixed(offset) - mixed(end);
  }

  // The lowest offset: of the shared page of zeros, which writers put first, where it is used.
  std::uint64_t begin() const { return begin_; }

  // Whether the data lie one behind the other, in any order, each of one page, but for the shared
  // page of zeros. Then each end is another one's begin, and all but the first and the last cancel
  // out.
  bool is_gapless() const {
    const std::uint64_t again = shared_ > 1 ? shared_ - 1 : 0;
    const std::uint64_t once = sum_ - again * (mixed(begin_) - mixed(begin_ + kPageSize));
    return begin_ == kNowhere || once == mixed(begin_) - mixed(end_);
  }

 private:
  std::uint64_t begin_ = kNowhere;
  std::uint64_t end_ = 0;
  std::uint64_t shared_ = 0;  // raw pages at begin_
  std::uint64_t sum_ = 0;
};

class TableReader {
 public:
  TableReader(const ByteSource& source, const KdumpHeader& header, const PageSet& kept,
              std::uint64_t descs)
      : header_(header),
        kept_(kept),
        count_(kept.count()),
        places_{descs, descs + count_ * sizeof(PageDesc), source.size()},
        table_(source, descs) {}

  Result<KdumpTable> read() {
    TRY(read_all());
    TRY(compare());
    return std::move(result_);
  }

 private:
  Result<> read_all();
  void take(Pfn pfn, const PageDesc& desc);
  Result<> compare();
  Result<std::uint64_t> used_behind();
  Result<bool> is_empty_from(std::uint64_t rank);
  std::optional<std::uint64_t> made_for() const;

  std::uint64_t told() const {
    const std::uint64_t written = header_.written_blocks;
    return written == std::numeric_limits<std::uint32_t>::max() ? 0 : written;
  }

  const KdumpHeader& header_;
  const PageSet& kept_;
  std::uint64_t count_;
  KdumpPlaces places_;
  Table table_;
  Tiling tiling_;
  std::uint64_t lowest_ = kNowhere;  // offset of any well-formed descriptor behind `descs`
  KdumpTable result_;
};

Result<> TableReader::read_all() {
  const std::uint64_t room =
      places_.file_size > places_.descs ? places_.file_size - places_.descs : 0;
  const std::uint64_t there = std::min(count_, room / sizeof(PageDesc));
  std::uint64_t rank = 0;
  const Pfn end = kept_.end();
  for (PfnRange run = kept_.next_run({0}, end); run.count != 0;
       run = kept_.next_run(run.end(), end)) {
    const std::uint64_t in_file = rank < there ? std::min(run.count, there - rank) : 0;
    for (std::uint64_t i = 0; i < in_file; ++i, ++rank) {
      TRY_ASSIGN(const PageDesc desc, table_.at(rank));
      take(run.first + i, desc);
    }
    if (in_file < run.count) {
      const PfnRange rest{run.first + in_file, run.count - in_file};
      result_.lost.insert(rest);
      result_.cut_off += rest.count;
    }
  }
  return {};
}

void TableReader::take(Pfn pfn, const PageDesc& desc) {
  if (is_well_formed(desc) && desc.offset >= places_.descs) {
    lowest_ = std::min<std::uint64_t>(lowest_, desc.offset);
  }
  if (is_usable(desc, places_)) {
    tiling_.add(desc);
    return;
  }
  result_.lost.insert({pfn, 1});
  if (is_empty(desc)) {
    ++result_.missing;
  } else if (is_well_formed(desc) && desc.offset >= places_.data) {
    ++result_.cut_off;
  }
}

// Usable descriptors that follow the last one that the bitmap knows of.
Result<std::uint64_t> TableReader::used_behind() {
  std::uint64_t used = 0;
  for (std::uint64_t rank = count_; rank < count_ + kBehind; ++rank) {
    TRY_ASSIGN(const PageDesc desc, table_.at(rank));
    if (places_.descs + (rank + 1) * sizeof(PageDesc) > lowest_ || !is_usable(desc, places_)) {
      break;
    }
    ++used;
  }
  return used;
}

// Whether what stands there up to the last descriptor, and as far as a page of zeros reaches, is
// empty.
Result<bool> TableReader::is_empty_from(std::uint64_t rank) {
  const std::uint64_t end = std::min(count_, rank + kPageSize / sizeof(PageDesc));
  for (; rank < end; ++rank) {
    TRY_ASSIGN(const PageDesc desc, table_.at(rank));
    if (!is_empty(desc)) {
      return false;
    }
  }
  return true;
}

// For how many pages the table was made: all that are written say so in the header, or have the
// page of zeros right behind the last descriptor (makedumpfile, QEMU), used or not.
std::optional<std::uint64_t> TableReader::made_for() const {
  if (told() != 0) {
    return told();
  }
  for (const std::uint64_t zeros : {std::uint64_t{0}, kPageSize}) {
    const std::uint64_t end = lowest_ - zeros;
    if (lowest_ != kNowhere && lowest_ % kPageSize != 0 && end >= places_.descs &&
        (end - places_.descs) % sizeof(PageDesc) == 0) {
      return (end - places_.descs) / sizeof(PageDesc);
    }
  }
  return std::nullopt;
}

Result<> TableReader::compare() {
  const std::optional<std::uint64_t> pages = made_for();
  TRY_ASSIGN(const std::uint64_t behind, used_behind());
  if (behind != 0) {
    result_.doubt = fmt::format("the bitmap has {} pages, but more descriptors follow", count_);
    return {};
  }
  if (pages && *pages < count_) {
    TRY_ASSIGN(const bool empty, is_empty_from(*pages));
    if (empty) {
      result_.doubt =
          fmt::format("the bitmap has {} pages, but there are descriptors for {}", count_, *pages);
      return {};
    }
  }
  if (told() == 0 && pages && *pages > count_) {  // ours say themselves that they are incomplete
    result_.shortfall = fmt::format("the bitmap has {} of {} pages", count_, *pages);
  }
  if ((header_.status & kKdumpIncomplete) == 0 && !tiling_.is_gapless()) {
    result_.doubt = "the data of the descriptors overlap or have gaps";
  }
  return {};
}

}  // namespace

bool is_usable(const PageDesc& desc, const KdumpPlaces& places) {
  return is_well_formed(desc) && desc.offset >= places.data && desc.offset < places.file_size &&
         places.file_size - desc.offset >= desc.size;
}

Result<KdumpTable> read_table(const ByteSource& source, const KdumpHeader& header,
                              const PageSet& kept, std::uint64_t descs) {
  return TableReader(source, header, kept, descs).read();
}

}  // namespace vmcore::formats
