// SPDX-License-Identifier: GPL-2.0-or-later
// PageSet: a set of page frames, one bit a page, with rank.
//
// Memory: one bit for each page of the 128 MiB chunks that hold some of their pages, plus 16 bytes
// for each chunk between the lowest and the highest: chunks that hold none, or were inserted whole,
// cost nothing more.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "src/base/address.h"

namespace vmcore {

struct PfnRange {
  Pfn first;
  std::uint64_t count = 0;
  Pfn end() const { return first + count; }
  bool operator==(const PfnRange&) const = default;
};

class PageSet {
 public:
  // Adds or removes the pages of the range. Not thread-safe.
  void insert(PfnRange range);
  void erase(PfnRange range);
  // The same with all pages of another set.
  void insert(const PageSet& pages);
  void erase(const PageSet& pages);

  bool contains(Pfn pfn) const;
  // Number of members.
  std::uint64_t count() const;
  // One past the highest member; 0 when empty.
  Pfn end() const;

  // The first run of members that starts at or after `from`, cut at `limit` and to `most`
  // pages (the rest of a long run is then not looked at). count is 0 where
  // there is none.
  PfnRange next_run(Pfn from, Pfn limit,
                    std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) const;

  // Number of members below `pfn`. Needs index() after the last change; it scans one chunk (at most
  // 512 words).
  std::uint64_t rank(Pfn pfn) const;
  void index();

  // 64 pages' bits from `pfn` (a multiple of 64) on, lowest pfn in the lowest bit: the layout of
  // kdump's bitmaps.
  std::uint64_t word(Pfn pfn) const;
  // Adds the pages of such a word.
  void insert_word(Pfn pfn, std::uint64_t bits);

 private:
  static constexpr std::uint64_t kChunkPages = 1U << 15;
  static constexpr std::uint64_t kWordsPerChunk = kChunkPages / 64;
  struct Chunk {
    std::uint64_t words[kWordsPerChunk] = {};
  };
  static const Chunk kFull;  // all of whose pages are members; shared, never written
  struct Release {
    void operator()(const Chunk* chunk) const;
  };
  using ChunkPtr = std::unique_ptr<const Chunk, Release>;  // null: none of its pages is a member

  // The chunk of that number; null where there is none.
  const Chunk* chunk(std::uint64_t number) const {
    const std::uint64_t index = number - first_;  // wraps where it lies below
    return index < chunks_.size() ? chunks_[index].get() : nullptr;
  }
  static std::uint64_t members(const Chunk* chunk);
  void make_room(std::uint64_t first_chunk, std::uint64_t last_chunk);
  // The words of the chunk, to be changed. There must be room for it.
  std::uint64_t* words_of(std::uint64_t number);

  std::uint64_t first_ = 0;  // number of the first of chunks_
  std::vector<ChunkPtr> chunks_;
  std::vector<std::uint64_t> ranks_;  // members below each chunk; made by index()
};

// The pages that are not among the others.
PageSet without(const PageSet& pages, const PageSet& others);

}  // namespace vmcore
