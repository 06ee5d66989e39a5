// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/interval_map.h"

#include <algorithm>
#include <iterator>
#include <queue>
#include <tuple>
#include <utility>

namespace vmcore::formats {
namespace {

bool begins_before(const Mapping& a, const Mapping& b) { return a.begin < b.begin; }

bool loses_to(const Mapping& a, const Mapping& b) {
  return std::tie(a.kind, a.order) > std::tie(b.kind, b.order);
}

void append(std::vector<Mapping>& out, const Mapping& mapping) {
  if (!out.empty()) {
    Mapping& last = out.back();
    if (last.kind == mapping.kind && last.end() == mapping.begin &&
        last.target + last.size == mapping.target) {
      last.size += mapping.size;
      return;
    }
  }
  out.push_back(mapping);
}

Mapping cut(const Mapping& mapping, std::uint64_t begin, std::uint64_t end) {
  Mapping part = mapping;
  part.target += begin - mapping.begin;
  part.begin = begin;
  part.size = end - begin;
  return part;
}

}  // namespace

// A sweep from the lowest address up: `active` holds the mappings that began at or below `at`, the
// winning one on top; it lasts until it ends or another one begins.
IntervalMap::IntervalMap(std::vector<Mapping> mappings) {
  std::sort(mappings.begin(), mappings.end(), begins_before);
  mappings_.reserve(mappings.size());  // growing would hold them three times
  std::priority_queue<Mapping, std::vector<Mapping>, bool (*)(const Mapping&, const Mapping&)>
      active(loses_to);
  std::uint64_t at = 0;
  auto next = mappings.cbegin();
  while (next != mappings.cend() || !active.empty()) {
    if (!active.empty() && active.top().end() <= at) {
      active.pop();
      continue;
    }
    if (active.empty()) {
      at = std::max(at, next->begin);
    }
    while (next != mappings.cend() && next->begin <= at) {
      active.push(*next);
      ++next;
    }
    const Mapping& best = active.top();
    std::uint64_t stop = best.end();
    if (next != mappings.cend()) {
      stop = std::min(stop, next->begin);
    }
    if (stop > at) {
      append(mappings_, cut(best, at, stop));
      at = stop;
    }
  }
  mappings_.shrink_to_fit();
}

const Mapping* IntervalMap::find(std::uint64_t address) const {
  const auto after = std::upper_bound(
      mappings_.begin(), mappings_.end(), address,
      [](std::uint64_t value, const Mapping& mapping) { return value < mapping.begin; });
  if (after == mappings_.begin()) {
    return nullptr;
  }
  const Mapping& mapping = *std::prev(after);
  return address < mapping.end() ? &mapping : nullptr;
}

std::uint64_t IntervalMap::next_begin(std::uint64_t address, std::uint64_t none) const {
  const auto after = std::upper_bound(
      mappings_.begin(), mappings_.end(), address,
      [](std::uint64_t value, const Mapping& mapping) { return value < mapping.begin; });
  return after == mappings_.end() ? none : after->begin;
}

}  // namespace vmcore::formats
