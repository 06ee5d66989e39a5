// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/builders/kernel_memory.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "src/image/page.h"

namespace vmcore::testing {

SparseMemory::SparseMemory(std::vector<PhysRange> ram) : ram_(std::move(ram)) {
  std::sort(ram_.begin(), ram_.end(),
            [](const PhysRange& a, const PhysRange& b) { return a.begin < b.begin; });
}

void SparseMemory::write(PhysAddr address, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::uint64_t pfn = address.value / kPageSize;
    if (kind_of(pfn) == Presence::absent) {
      std::fprintf(stderr, "SparseMemory: %#llx is no RAM\n",
                   static_cast<unsigned long long>(address.value));
      std::abort();
    }
    const std::uint64_t offset = address.value % kPageSize;
    const std::size_t size = std::min<std::uint64_t>(bytes.size(), kPageSize - offset);
    std::memcpy(pages_[pfn].data() + offset, bytes.data(), size);
    bytes = bytes.subspan(size);
    address = address + size;
  }
}

Presence SparseMemory::kind_of(std::uint64_t pfn) const {
  const bool is_ram = std::any_of(ram_.begin(), ram_.end(), [&](const PhysRange& range) {
    return range.contains({pfn * kPageSize});
  });
  if (!is_ram) {
    return Presence::absent;
  }
  if (excluded_.contains(pfn)) {
    return Presence::excluded;
  }
  return tell_zero_ && !pages_.contains(pfn) ? Presence::zero : Presence::data;
}

Extent SparseMemory::extent(PhysAddr address) const {
  const std::uint64_t pfn = address.value / kPageSize;
  const Presence kind = kind_of(pfn);
  std::uint64_t end = kMaxPhysAddr / kPageSize;
  for (const PhysRange& range : ram_) {
    if (range.begin > address) {
      end = std::min(end, range.begin.value / kPageSize);
    }
    if (range.contains(address)) {
      end = std::min(end, range.end().value / kPageSize);
    }
  }
  // Within RAM the kind changes only at excluded pages and, where that is told, at written ones.
  if (kind == Presence::excluded) {
    end = pfn + 1;
  } else if (const auto next = excluded_.upper_bound(pfn); next != excluded_.end()) {
    end = std::min(end, *next);
  }
  if (kind == Presence::zero) {
    const auto next = pages_.upper_bound(pfn);
    end = next == pages_.end() ? end : std::min(end, next->first);
  } else if (kind == Presence::data && tell_zero_) {
    std::uint64_t last = pfn;
    for (auto page = pages_.find(pfn); page != pages_.end() && page->first == last; ++page) {
      ++last;
    }
    end = std::min(end, last);
  }
  while (kind == Presence::excluded && kind_of(end) == kind) {
    ++end;
  }
  return {{address, end * kPageSize - address.value}, kind};
}

Result<ReadExtent> SparseMemory::read(PhysAddr address, std::span<std::byte> out) const {
  ReadExtent result;
  while (result.good < out.size()) {
    const PhysAddr at = address + result.good;
    const std::uint64_t pfn = at.value / kPageSize;
    const Presence kind = kind_of(pfn);
    if (kind == Presence::absent || kind == Presence::excluded) {
      result.first_bad = PhysAddr{pfn * kPageSize};
      break;
    }
    const std::uint64_t offset = at.value % kPageSize;
    const std::size_t size = std::min<std::uint64_t>(out.size() - result.good, kPageSize - offset);
    const auto page = pages_.find(pfn);
    if (page == pages_.end()) {
      std::memset(out.data() + result.good, 0, size);
    } else {
      std::memcpy(out.data() + result.good, page->second.data() + offset, size);
    }
    result.good += size;
  }
  return result;
}

}  // namespace vmcore::testing
