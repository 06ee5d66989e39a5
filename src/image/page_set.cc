#include "src/image/page_set.h"

#include <algorithm>
#include <bit>

namespace vmcore {
namespace {

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

void PageSet::insert(PfnRange range) {
  if (range.count == 0) {
    return;
  }
  const std::uint64_t last_chunk = (range.end().value - 1) / kChunkPages;
  if (chunks_.size() <= last_chunk) {
    chunks_.resize(last_chunk + 1);
  }
  for_each_word(range, [&](std::uint64_t word, std::uint64_t bits) {
    auto& chunk = chunks_[word / kWordsPerChunk];
    if (!chunk) {
      chunk = std::make_unique<Chunk>();
    }
    chunk->words[word % kWordsPerChunk] |= bits;
  });
}

void PageSet::erase(PfnRange range) {
  const std::uint64_t limit = chunks_.size() * kChunkPages;
  if (range.first.value >= limit) {
    return;
  }
  range.count = std::min(range.count, limit - range.first.value);
  for_each_word(range, [&](std::uint64_t word, std::uint64_t bits) {
    if (auto& chunk = chunks_[word / kWordsPerChunk]; chunk) {
      chunk->words[word % kWordsPerChunk] &= ~bits;
    }
  });
}

bool PageSet::contains(Pfn pfn) const {
  return ((word(Pfn{pfn.value / 64 * 64}) >> (pfn.value % 64)) & 1) != 0;
}

std::uint64_t PageSet::count() const {
  std::uint64_t sum = 0;
  for (const auto& chunk : chunks_) {
    if (chunk) {
      for (const std::uint64_t word : chunk->words) {
        sum += static_cast<std::uint64_t>(std::popcount(word));
      }
    }
  }
  return sum;
}

Pfn PageSet::end() const {
  for (std::uint64_t chunk = chunks_.size(); chunk-- > 0;) {
    if (!chunks_[chunk]) {
      continue;
    }
    for (std::uint64_t word = kWordsPerChunk; word-- > 0;) {
      if (const std::uint64_t bits = chunks_[chunk]->words[word]; bits != 0) {
        return {chunk * kChunkPages + word * 64 + static_cast<std::uint64_t>(std::bit_width(bits))};
      }
    }
  }
  return {0};
}

PfnRange PageSet::next_run(Pfn from, Pfn limit, std::uint64_t most) const {
  // The first pfn in [pfn, stop) whose bit equals `wanted`, or `stop`.
  const auto seek = [&](std::uint64_t pfn, std::uint64_t stop, bool wanted) {
    while (pfn < stop) {
      if (!chunks_[pfn / kChunkPages]) {
        if (!wanted) {
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
  const std::uint64_t end = std::min(limit.value, chunks_.size() * kChunkPages);
  const std::uint64_t first = seek(from.value, end, true);
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
    if (chunks_[i]) {
      for (const std::uint64_t word : chunks_[i]->words) {
        sum += static_cast<std::uint64_t>(std::popcount(word));
      }
    }
  }
}

std::uint64_t PageSet::rank(Pfn pfn) const {
  const std::uint64_t chunk = pfn.value / kChunkPages;
  if (chunk >= ranks_.size()) {
    return ranks_.empty() ? 0 : count();
  }
  std::uint64_t sum = ranks_[chunk];
  if (chunks_[chunk]) {
    const std::uint64_t in_chunk = pfn.value % kChunkPages;
    for (std::uint64_t word = 0; word < in_chunk / 64; ++word) {
      sum += static_cast<std::uint64_t>(std::popcount(chunks_[chunk]->words[word]));
    }
    if (in_chunk % 64 != 0) {
      sum += static_cast<std::uint64_t>(
          std::popcount(chunks_[chunk]->words[in_chunk / 64] & mask(0, in_chunk % 64)));
    }
  }
  return sum;
}

std::uint64_t PageSet::word(Pfn pfn) const {
  const std::uint64_t chunk = pfn.value / kChunkPages;
  if (chunk >= chunks_.size() || !chunks_[chunk]) {
    return 0;
  }
  return chunks_[chunk]->words[pfn.value % kChunkPages / 64];
}

void PageSet::insert_word(Pfn pfn, std::uint64_t bits) {
  if (bits == 0) {
    return;
  }
  const std::uint64_t index = pfn.value / kChunkPages;
  if (chunks_.size() <= index) {
    chunks_.resize(index + 1);
  }
  if (!chunks_[index]) {
    chunks_[index] = std::make_unique<Chunk>();
  }
  chunks_[index]->words[pfn.value % kChunkPages / 64] |= bits;
}

}  // namespace vmcore
