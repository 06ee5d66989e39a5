// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/process/challenge.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <set>

#include "src/base/all_zero.h"
#include "src/base/sys.h"
#include "src/image/page.h"

namespace vmcore::acquire {
namespace {

// Attempts to choose one page at random: usually some part of memory is in use.
constexpr unsigned kChoices = 64;
// If no random page is present, how far to search for one: past 64 GiB that are not, or past 4096
// pages of zeros.
constexpr std::uint64_t kMostWalked = (64ULL << 30) / kPageSize;
constexpr std::uint64_t kZeros = kMostWalked / 4096;
// A page that changes meanwhile, or that no candidate has as QEMU says, is asked for again.
constexpr unsigned kAttempts = 3;
// Pages of one challenge that may decide nothing.
constexpr unsigned kMostInVain = 64;

using Page = std::array<std::byte, kPageSize>;
using Contents = std::vector<std::optional<Page>>;  // nothing: not known

// Linux Documentation/admin-guide/mm/pagemap.rst.
constexpr std::uint64_t kPresent = 1ULL << 63;
constexpr std::uint64_t kSwapped = 1ULL << 62;

// A candidate place; reading it neither allocates a page nor brings one back from swap.
class Place {
 public:
  explicit Place(const ImageSource& source) : source_(source) {}

  // Nothing if that is not known, or cannot be read.
  std::optional<Page> read(PhysAddr page) const;
  // The first page of the range that may be there, among `most`; counts those that were passed.
  std::optional<PhysAddr> next(PhysRange range, std::uint64_t& most) const;

 private:
  const Piece* piece_at(PhysAddr address) const;
  std::uint64_t entry(const Piece& piece, PhysAddr page) const;
  std::optional<PhysAddr> next_in_process(const Piece& piece, PhysRange range,
                                          std::uint64_t& most) const;
  std::optional<PhysAddr> next_in_file(const Piece& piece, PhysRange range) const;

  const ImageSource& source_;
};

const Piece* Place::piece_at(PhysAddr address) const {
  const auto piece = std::ranges::upper_bound(source_.pieces, address, {},
                                              [](const Piece& p) { return p.range.end(); });
  return piece != source_.pieces.end() && piece->range.contains(address) ? &*piece : nullptr;
}

std::uint64_t Place::entry(const Piece& piece, PhysAddr page) const {
  std::uint64_t found = kSwapped;  // not known
  const std::uint64_t address = *piece.address + (page - piece.range.begin);
  const auto bytes = std::as_writable_bytes(std::span(&found, 1));
  const auto got =
      sys::pread_full(source_.pagemap.get(), bytes, address / kPageSize * sizeof(std::uint64_t));
  return got && *got == bytes.size() ? found : kSwapped;
}

std::optional<Page> Place::read(PhysAddr page) const {
  const Piece* const piece = piece_at(page);
  if (piece == nullptr || piece->range.end() - page < kPageSize) {
    return std::nullopt;
  }
  std::optional<Page> content(std::in_place);
  const std::uint64_t skip = page - piece->range.begin;
  const auto take = [&](int file, std::uint64_t offset) {
    const auto got = sys::pread_full(file, *content, offset);
    return got && *got == kPageSize ? content : std::nullopt;
  };
  const std::uint64_t seen = piece->address ? entry(*piece, page) : 0;
  if ((seen & kPresent) != 0) {
    return take(source_.memory.get(), *piece->address + skip);
  }
  if ((seen & kSwapped) != 0) {
    return std::nullopt;
  }
  if (piece->file) {
    return take(source_.files[piece->file->file].get(), piece->file->offset + skip);
  }
  content->fill(std::byte{0});
  return content;
}

std::optional<PhysAddr> Place::next_in_process(const Piece& piece, PhysRange range,
                                               std::uint64_t& most) const {
  std::array<std::uint64_t, 512> entries{};
  for (PhysAddr at = range.begin; at < range.end() && most != 0;) {
    const std::uint64_t pages =
        std::min<std::uint64_t>((range.end() - at) / kPageSize, entries.size());
    const auto bytes = std::as_writable_bytes(std::span(entries).first(pages));
    const std::uint64_t address = *piece.address + (at - piece.range.begin);
    const auto got = sys::pread_full(source_.pagemap.get(), bytes, address / kPageSize * 8);
    if (pages == 0 || !got || *got != bytes.size()) {
      return std::nullopt;
    }
    const auto seen = std::span(entries).first(pages);
    const auto there =
        std::ranges::find_if(seen, [](std::uint64_t entry) { return (entry & kPresent) != 0; });
    if (there != seen.end()) {
      return at + static_cast<std::uint64_t>(there - seen.begin()) * kPageSize;
    }
    at = at + pages * kPageSize;
    most -= std::min(most, pages);
  }
  return std::nullopt;
}

std::optional<PhysAddr> Place::next_in_file(const Piece& piece, PhysRange range) const {
  const std::uint64_t begin = piece.file->offset + (range.begin - piece.range.begin);
  const off_t data =
      ::lseek(source_.files[piece.file->file].get(), static_cast<off_t>(begin), SEEK_DATA);
  if (data < 0 || static_cast<std::uint64_t>(data) - begin >= range.size) {
    return std::nullopt;
  }
  return range.begin + page_floor(static_cast<std::uint64_t>(data) - begin);
}

std::optional<PhysAddr> Place::next(PhysRange range, std::uint64_t& most) const {
  while (range.size != 0 && most != 0) {
    const Piece* const piece = piece_at(range.begin);
    if (piece == nullptr) {
      return std::nullopt;
    }
    const PhysRange part{range.begin, std::min(range.end(), piece->range.end()) - range.begin};
    const auto found = piece->address ? next_in_process(*piece, part, most) : std::nullopt;
    const auto in_file = !found && piece->file ? next_in_file(*piece, part) : std::nullopt;
    if (found || in_file) {
      return found ? found : in_file;
    }
    range = {part.end(), range.size - part.size};
  }
  return std::nullopt;
}

bool is_data(const std::optional<Page>& content) { return content && !all_zero(*content); }

class Challenge {
 public:
  Challenge(std::span<const PhysRange> ranges, std::span<const ImageSource> sources,
            const Peek& peek)
      : peek_(peek), places_(sources.begin(), sources.end()), fit_(sources.size()) {
    std::iota(fit_.begin(), fit_.end(), std::size_t{0});
    for (const PhysRange& range : ranges) {
      const std::uint64_t begin = page_ceil(range.begin.value);
      const std::uint64_t end = page_floor(range.end().value);
      if (begin < end) {
        ranges_.push_back({{begin}, end - begin});
      }
    }
  }

  // As many pages as prove it.
  Result<Fit> run() {
    const unsigned each = kPagesToBelieve * static_cast<unsigned>(ranges_.size());
    return run(places_.size() > 1 ? std::max(kPagesToTell, each) : each);
  }

  Result<Fit> run(unsigned wanted) {
    if (ranges_.empty()) {
      return Fit{fit_};
    }
    unsigned in_vain = 0;
    for (unsigned asked = 0; asked < wanted && !fit_.empty();) {
      TRY_ASSIGN(const bool told, ask(choose(ranges_[(asked + in_vain) % ranges_.size()])));
      asked += told ? 1 : 0;
      in_vain += told ? 0 : 1;
      if (in_vain > kMostInVain) {
        return fail(Errc::unsupported, "the guest changes its memory too fast for a comparison");
      }
    }
    return Fit{fit_, by_data_};
  }

 private:
  PhysAddr any_page(PhysRange range) {
    std::uniform_int_distribution<std::uint64_t> pages(0, range.size / kPageSize - 1);
    return range.begin + pages(random_) * kPageSize;
  }
  // Not zeros in one of the places that fit, if such a page is found.
  PhysAddr page_with_data(PhysRange range);
  // Of those pages one at which the places that fit differ, if such a page is found.
  PhysAddr choose(PhysRange range);
  Contents read(PhysAddr page) const;
  // Keeps the places that have what QEMU has there. False where that told nothing.
  Result<bool> ask(PhysAddr page);

  const Peek& peek_;
  std::vector<PhysRange> ranges_;
  std::vector<Place> places_;
  std::vector<std::size_t> fit_;
  bool by_data_ = true;
  std::random_device random_;
  std::set<std::pair<std::size_t, std::uint64_t>> untouched_;  // place and range: nothing is there
};

PhysAddr Challenge::page_with_data(PhysRange range) {
  const std::size_t chosen =
      fit_[std::uniform_int_distribution<std::size_t>(0, fit_.size() - 1)(random_)];
  const Place& place = places_[chosen];
  const std::pair key{chosen, range.begin.value};
  for (unsigned i = 0; i < kChoices && !untouched_.contains(key); ++i) {
    const PhysAddr page = any_page(range);
    if (is_data(place.read(page))) {
      return page;
    }
  }
  std::uint64_t most = untouched_.contains(key) ? 0 : kMostWalked;
  const PhysAddr from = any_page(range);
  for (const PhysRange part :
       {PhysRange{from, range.end() - from}, PhysRange{range.begin, from - range.begin}}) {
    PhysRange left = part;
    while (const auto page = place.next(left, most)) {
      if (is_data(place.read(*page))) {
        return *page;
      }
      most -= std::min(most, kZeros);
      left = {*page + kPageSize, left.end() - (*page + kPageSize)};
    }
  }
  untouched_.insert(key);
  return from;
}

PhysAddr Challenge::choose(PhysRange range) {
  PhysAddr page = page_with_data(range);
  for (unsigned i = 0; i < kChoices && fit_.size() > 1; ++i) {
    const Contents contents = read(page);
    const auto differs = [&](const std::optional<Page>& other) {
      return other && *other != *contents.front();
    };
    if (contents.front() && std::ranges::any_of(contents, differs)) {
      break;
    }
    page = page_with_data(range);
  }
  return page;
}

Contents Challenge::read(PhysAddr page) const {
  Contents contents;
  for (const std::size_t i : fit_) {
    contents.push_back(places_[i].read(page));
  }
  return contents;
}

Result<bool> Challenge::ask(PhysAddr page) {
  std::vector<std::size_t> equal;
  std::optional<Contents> first;
  bool changes = false;
  for (unsigned attempt = 0; attempt < kAttempts && equal.empty(); ++attempt) {
    Contents before = read(page);
    std::optional<Page> said(std::in_place);
    TRY(peek_(page, *said));
    if (std::ranges::none_of(before, [](const auto& content) { return content.has_value(); })) {
      continue;
    }
    const bool still = read(page) == before;
    changes = changes || !still || (first && *first != before);
    for (std::size_t i = 0; i < fit_.size() && still; ++i) {
      if (!before[i] || before[i] == said) {
        equal.push_back(fit_[i]);
      }
    }
    first = first ? std::move(first) : std::move(before);
  }
  // A stack may be back at what it was when it is read again, and QEMU saw it in between.
  const bool told = first && (!equal.empty() || !changes);
  if (told) {
    by_data_ = by_data_ && std::ranges::any_of(*first, is_data);
    fit_ = std::move(equal);
  }
  return told;
}

}  // namespace

Result<Fit> places_that_fit(std::span<const PhysRange> ranges, std::span<const ImageSource> places,
                            const Peek& peek) {
  return Challenge(ranges, places, peek).run();
}

Result<bool> fits_still(std::span<const PhysRange> ranges, std::span<const ImageSource> places,
                        std::size_t known, const Peek& peek) {
  TRY_ASSIGN(const Fit fit, Challenge(ranges, places, peek).run(1));
  return fit.by_data && fit.places == std::vector{known};
}

}  // namespace vmcore::acquire
