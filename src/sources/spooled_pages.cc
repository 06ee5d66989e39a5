// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/sources/spooled_pages.h"

#include <algorithm>
#include <utility>

#include "src/image/page.h"

namespace vmcore::sources {
namespace {

constexpr Pfn kMaxPfn{kMaxPhysAddr / kPageSize};

// One past the members that follow each other from `pfn` on, where that is one, or `limit`; else
// `pfn`.
Pfn members_end(const PageSet& set, Pfn pfn, Pfn limit = kMaxPfn) {
  return set.contains(pfn) ? set.next_run(pfn, limit).end() : pfn;
}

// The first member from `pfn` on.
Pfn next_member(const PageSet& set, Pfn pfn) {
  const PfnRange run = set.next_run(pfn, kMaxPfn, 1);
  return run.count != 0 ? run.first : kMaxPfn;
}

PhysRange range_from(PhysAddr begin, Pfn end) {
  return {begin, address_of(end).value - begin.value};
}

}  // namespace

SpooledPages::SpooledPages(std::unique_ptr<formats::ByteSource> file, PageSet ram, PageSet kept,
                           PageSet had)
    : file_(std::move(file)), ram_(std::move(ram)), kept_(std::move(kept)), had_(std::move(had)) {}

SpooledPages::Run SpooledPages::run(Pfn pfn) const {
  if (had_.contains(pfn)) {
    return {members_end(had_, pfn), Presence::data};
  }
  if (kept_.contains(pfn)) {
    return {std::min(members_end(kept_, pfn), next_member(had_, pfn)), Presence::lost};
  }
  if (ram_.contains(pfn)) {
    return {std::min(members_end(ram_, pfn), next_member(kept_, pfn)), Presence::excluded};
  }
  return {next_member(ram_, pfn), Presence::absent};
}

SpooledPages::Run SpooledPages::file_run(Pfn pfn, Pfn end) const {
  const auto kind_at = [&](Pfn at) {
    const formats::FileRun run = file_->run(address_of(at).value);
    const bool zero = run.hole && run.size >= kPageSize;
    const std::uint64_t pages =
        std::max<std::uint64_t>(1, zero ? run.size / kPageSize : ceil_div(run.size, kPageSize));
    return Run{{std::min(end.value, at.value + pages)}, zero ? Presence::zero : Presence::data};
  };
  Run first = kind_at(pfn);
  while (first.end < end) {
    const Run next = kind_at(first.end);
    if (next.presence != first.presence) {
      break;
    }
    first.end = next.end;
  }
  return first;
}

Extent SpooledPages::extent(PhysAddr address) const {
  const Pfn pfn = pfn_of(address);
  Run found = run(pfn);
  if (found.presence == Presence::data) {
    found = file_run(pfn, found.end);
  }
  return {range_from(address, found.end), found.presence};
}

Extent SpooledPages::outline(PhysAddr address) const {
  const Run found = run(pfn_of(address));
  return {range_from(address, found.end), found.presence};
}

Presence SpooledPages::presence(PhysAddr address) const { return run(pfn_of(address)).presence; }

Result<ReadExtent> SpooledPages::read(PhysAddr address, std::span<std::byte> out) const {
  ReadExtent result;
  const Pfn pfn = pfn_of(address);
  const Pfn limit{ceil_div(address.value + out.size(), kPageSize)};
  const PhysAddr end = address_of(members_end(had_, pfn, limit));
  if (end.value > address.value) {
    const auto there = out.first(std::min<std::uint64_t>(out.size(), end - address));
    TRY_ASSIGN(result.good, file_->read(address.value, there));
  }
  if (result.good < out.size()) {
    const std::uint64_t bad = page_floor(address.value + result.good);
    result.good = bad > address.value ? bad - address.value : 0;
    result.first_bad = PhysAddr{bad};
  }
  return result;
}

}  // namespace vmcore::sources
