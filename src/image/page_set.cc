// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/image/page_set.h"

#include <algorithm>
#include <bit>
#include <span>

namespace vmcore {
namespace {

// How many bits are set in all of the words. std::popcount() is a call of libgcc for each word
// where x86-64 has no more than its baseline, which takes 15 times as long, and the pages of a
// guest that waits are counted several times.
std::uint64_t count_bits(std::span<const std::uint64_t> words) {
  constexpr std::uint64_t kPairs = 0x5555555555555555;
  constexpr std::uint64_t kFours = 0x3333333333333333;
  constexpr std::uint64_t kEights = 0x0f0f0f0f0f0f0f0f;
  constexpr std::uint64_t kSixteens = 0x00ff00ff00ff00ff;
  constexpr std::size_t kAtOnce = 16;  // a byte of the sum of 31 words is at most 248
  std::uint64_t sum = 0;
  for (; !words.empty(); words = words.subspan(std::min(words.size(), kAtOnce))) {
    std::uint64_t bytes = 0;
    for (std::uint64_t word : words.first(std::min(words.size(), kAtOnce))) {
      word -= word >> 1 & kPairs;
      word = (word & kFours) + (word >> 2 & kFours);
      bytes += (word + (word >> 4)) & kEights;
    }
    bytes = (bytes & kSixteens) + (bytes >> 8 & kSixteens);
    sum += bytes * 0x0001000100010001 >> 48;
  }
  return sum;
}

// The bits [from, to) of a word, 0 <= from < to <= 64.
std::uint64_t mask(std::uint64_t from, std::uint64_t to) {
  const std::uint64_t below = to == 64 ? ~0ULL : (1ULL << to) - 1;
  return below & (~0ULL << from);
}

// Calls change(word index, mask) for each 64-page word that the range touches.
template <class Change>
void for_each_word(PfnRange range, Change change) {
  std::uint64_t pfn = range.first.value;
  const std::uint64_t end = pfn + range.count;
  while (pfn < end) {
    const std::uint64_t in_word = pfn % 64;
    const std::uint64_t stop = std::min<std::uint64_t>(64, in_word + (end - pfn));
    change(pfn / 64, mask(in_word, stop));
    pfn += stop - in_word;
  }
}

}  // namespace

constexpr PageSet::Chunk PageSet::kFull = [] {
  Chunk full;
  std::ranges::fill(full.words, ~std::uint64_t{0});
  return full;
}();

void PageSet::Release::operator()(const Chunk* chunk) const {
  if (chunk != &kFull) {
    delete chunk;
  }
}

std::uint64_t PageSet::members(const Chunk* chunk) {
  if (chunk == nullptr || chunk == &kFull) {
    return chunk == nullptr ? 0 : kChunkPages;
  }
  return count_bits(chunk->words);
}

void PageSet::make_room(std::uint64_t first_chunk, std::uint64_t last_chunk) {
  if (chunks_.empty()) {
    first_ = first_chunk;
  }
  if (first_chunk < first_) {
    const auto old_size = static_cast<std::ptrdiff_t>(chunks_.size());
    chunks_.resize(chunks_.size() + (first_ - first_chunk));
    std::rotate(chunks_.begin(), chunks_.begin() + old_size, chunks_.end());
    first_ = first_chunk;
  }
  if (chunks_.size() <= last_chunk - first_) {
    chunks_.resize(last_chunk - first_ + 1);
  }
}

std::uint64_t* PageSet::words_of(std::uint64_t number) {
  ChunkPtr& chunk = chunks_[number - first_];
  if (!chunk || chunk.get() == &kFull) {
    chunk.reset(chunk ? new Chunk(kFull) : new Chunk);
  }
  return const_cast<Chunk*>(chunk.get())->words;  // our own: made here
}

void PageSet::insert(PfnRange range) {
  if (range.count == 0) {
    return;
  }
  make_room(range.first.value / kChunkPages, (range.end().value - 1) / kChunkPages);
  for (Pfn pfn = range.first; pfn < range.end();) {
    const std::uint64_t number = pfn.value / kChunkPages;
    const Pfn end = std::min(range.end(), Pfn{(number + 1) * kChunkPages});
    if (end - pfn == kChunkPages) {
      chunks_[number - first_].reset(&kFull);
    } else if (chunk(number) != &kFull) {
      std::uint64_t* words = words_of(number);
      for_each_word({pfn, end - pfn}, [&](std::uint64_t word, std::uint64_t bits) {
        words[word % kWordsPerChunk] |= bits;
      });
    }
    pfn = end;
  }
}

void PageSet::erase(PfnRange range) {
  const Pfn last = std::min(range.end(), Pfn{(first_ + chunks_.size()) * kChunkPages});
  for (Pfn pfn = std::max(range.first, Pfn{first_ * kChunkPages}); pfn < last;) {
    const std::uint64_t number = pfn.value / kChunkPages;
    const Pfn end = std::min(last, Pfn{(number + 1) * kChunkPages});
    if (end - pfn == kChunkPages) {
      chunks_[number - first_].reset();
    } else if (chunk(number) != nullptr) {
      std::uint64_t* words = words_of(number);
      for_each_word({pfn, end - pfn}, [&](std::uint64_t word, std::uint64_t bits) {
        words[word % kWordsPerChunk] &= ~bits;
      });
    }
    pfn = end;
  }
}

void PageSet::insert(const PageSet& pages) {
  if (pages.chunks_.empty()) {
    return;
  }
  make_room(pages.first_, pages.first_ + pages.chunks_.size() - 1);
  for (std::uint64_t i = 0; i < pages.chunks_.size(); ++i) {
    const Chunk* more = pages.chunks_[i].get();
    const std::uint64_t number = pages.first_ + i;
    if (more == &kFull) {
      chunks_[number - first_].reset(&kFull);
    } else if (more != nullptr && chunk(number) != &kFull) {
      std::uint64_t* words = words_of(number);
      for (std::uint64_t word = 0; word < kWordsPerChunk; ++word) {
        words[word] |= more->words[word];
      }
    }
  }
}

void PageSet::erase(const PageSet& pages) {
  for (std::uint64_t i = 0; i < pages.chunks_.size(); ++i) {
    const Chunk* less = pages.chunks_[i].get();
    const std::uint64_t number = pages.first_ + i;
    if (less == nullptr || chunk(number) == nullptr) {
      continue;
    }
    if (less == &kFull) {
      chunks_[number - first_].reset();
      continue;
    }
    std::uint64_t* words = words_of(number);
    for (std::uint64_t word = 0; word < kWordsPerChunk; ++word) {
      words[word] &= ~less->words[word];
    }
  }
}

bool PageSet::contains(Pfn pfn) const {
  return ((word(Pfn{pfn.value / 64 * 64}) >> (pfn.value % 64)) & 1) != 0;
}

std::uint64_t PageSet::count() const {
  std::uint64_t sum = 0;
  for (const ChunkPtr& chunk : chunks_) {
    sum += members(chunk.get());
  }
  return sum;
}

Pfn PageSet::end() const {
  for (std::uint64_t index = chunks_.size(); index-- > 0;) {
    if (!chunks_[index]) {
      continue;
    }
    for (std::uint64_t word = kWordsPerChunk; word-- > 0;) {
      if (const std::uint64_t bits = chunks_[index]->words[word]; bits != 0) {
        return {(first_ + index) * kChunkPages + word * 64 +
                static_cast<std::uint64_t>(std::bit_width(bits))};
      }
    }
  }
  return {0};
}

PfnRange PageSet::next_run(Pfn from, Pfn limit, std::uint64_t most) const {
  // The first pfn in [pfn, stop) whose bit equals `wanted`, or `stop`.
  const auto seek = [&](std::uint64_t pfn, std::uint64_t stop, bool wanted) {
    while (pfn < stop) {
      const Chunk* chunk = chunks_[pfn / kChunkPages - first_].get();
      if (chunk == nullptr || chunk == &kFull) {
        if (wanted == (chunk != nullptr)) {
          return pfn;
        }
        pfn = (pfn / kChunkPages + 1) * kChunkPages;
        continue;
      }
      std::uint64_t bits = word({pfn / 64 * 64});
      if (!wanted) {
        bits = ~bits;
      }
      bits &= ~0ULL << (pfn % 64);
      if (bits != 0) {
        return std::min(stop, pfn / 64 * 64 + static_cast<std::uint64_t>(std::countr_zero(bits)));
      }
      pfn = (pfn / 64 + 1) * 64;
    }
    return stop;
  };
  const std::uint64_t begin = std::max(from.value, first_ * kChunkPages);
  const std::uint64_t end = std::min(limit.value, (first_ + chunks_.size()) * kChunkPages);
  const std::uint64_t first = seek(begin, end, true);
  if (first >= end) {
    return {limit, 0};
  }
  const std::uint64_t stop = most < end - first ? first + most : end;
  return {{first}, seek(first, stop, false) - first};
}

void PageSet::index() {
  ranks_.assign(chunks_.size(), 0);
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < chunks_.size(); ++i) {
    ranks_[i] = sum;
    sum += members(chunks_[i].get());
  }
}

std::uint64_t PageSet::rank(Pfn pfn) const {
  const std::uint64_t number = pfn.value / kChunkPages;
  if (number < first_ || ranks_.empty()) {
    return 0;
  }
  if (number - first_ >= ranks_.size()) {
    return count();
  }
  std::uint64_t sum = ranks_[number - first_];
  if (const Chunk* own = chunk(number); own != nullptr) {
    const std::uint64_t in_chunk = pfn.value % kChunkPages;
    sum += count_bits(std::span(own->words).first(in_chunk / 64));
    if (in_chunk % 64 != 0) {
      sum += static_cast<std::uint64_t>(
          std::popcount(own->words[in_chunk / 64] & mask(0, in_chunk % 64)));
    }
  }
  return sum;
}

std::uint64_t PageSet::word(Pfn pfn) const {
  const Chunk* own = chunk(pfn.value / kChunkPages);
  return own != nullptr ? own->words[pfn.value % kChunkPages / 64] : 0;
}

void PageSet::insert_word(Pfn pfn, std::uint64_t bits) {
  if (bits == 0) {
    return;
  }
  const std::uint64_t number = pfn.value / kChunkPages;
  make_room(number, number);
  if (chunk(number) != &kFull) {
    words_of(number)[pfn.value % kChunkPages / 64] |= bits;
  }
}

PageSet without(const PageSet& pages, const PageSet& others) {
  PageSet rest;
  rest.insert(pages);
  rest.erase(others);
  return rest;
}

}  // namespace vmcore
