// SPDX-License-Identifier: GPL-2.0-or-later
// An interval map: which run of one address space lies where in another. The flattened format maps
// offsets of a dump to offsets of a stream, ELF maps physical memory to offsets of a file.
#pragma once

#include <cstdint>
#include <vector>

namespace vmcore::formats {

// The bytes [begin, begin + size) lie at `target`. Neither end wraps.
struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t size = 0;
  std::uint64_t target = 0;
  std::uint32_t kind = 0;
  std::uint32_t order = 0;
  std::uint64_t end() const { return begin + size; }
};

class IntervalMap {
 public:
  IntervalMap() = default;
  // Where mappings overlap, the one of the lowest (kind, order) wins. Neighbours of one kind that
  // go on in the target are joined.
  explicit IntervalMap(std::vector<Mapping> mappings);

  // The mapping that contains `address`, or null.
  const Mapping* find(std::uint64_t address) const;
  // The begin of the first mapping above `address`, or `none` where there is none.
  std::uint64_t next_begin(std::uint64_t address, std::uint64_t none) const;
  // Sorted and disjoint. `order` means nothing any more.
  const std::vector<Mapping>& mappings() const { return mappings_; }
  // One past the last mapped address; 0 when empty.
  std::uint64_t end() const { return mappings_.empty() ? 0 : mappings_.back().end(); }

 private:
  std::vector<Mapping> mappings_;
};

}  // namespace vmcore::formats
