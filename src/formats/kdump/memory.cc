// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/formats/kdump/memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "src/base/all_zero.h"
#include "src/formats/codec.h"
#include "src/image/page.h"

namespace vmcore::formats {
namespace {

constexpr std::uint64_t kBatchPages = 256;
constexpr std::uint64_t kCachedPages = 16;
constexpr Pfn kEndPfn{kMaxPhysAddr / kPageSize};

// Whether a usable descriptor is of the page of zeros at `zero_page` (0: none is known).
bool is_zero(const PageDesc& desc, std::uint64_t zero_page) {
  return desc.flags == 0 && desc.offset == zero_page;
}

std::span<std::byte> page_of(std::span<std::byte> pages, std::size_t index) {
  return pages.subspan(index * kPageSize, kPageSize);
}

}  // namespace

// What one thread needs to read.
struct KdumpMemory::Context {
  std::array<PageDesc, kBatchPages> descs;
  std::vector<std::byte> data;  // as they lie in the file; grows up to a batch of pages
  std::array<std::unique_ptr<PageDecompressor>, 5> decompressors;  // by Codec
  // Pages that were read in part: page tables and structures are visited again and again.
  std::vector<std::byte> cache;  // empty until it is used
  std::array<std::optional<Pfn>, kCachedPages> cached;
};

class KdumpMemory::Loan {
 public:
  explicit Loan(const KdumpMemory& owner) : owner_(owner), context_(owner.borrow()) {}
  Loan(const Loan&) = delete;
  Loan& operator=(const Loan&) = delete;
  ~Loan() { owner_.give_back(std::move(context_)); }
  Context& context() { return *context_; }

 private:
  const KdumpMemory& owner_;
  std::unique_ptr<Context> context_;
};

KdumpMemory::KdumpMemory(std::unique_ptr<ByteSource> source, PageSet ram, PageSet kept,
                         PageSet lost, std::uint64_t descs)
    : source_(std::move(source)),
      ram_(std::move(ram)),
      kept_(std::move(kept)),
      lost_(std::move(lost)),
      places_{descs, descs + kept_.count() * sizeof(PageDesc), source_->size()} {
  kept_.index();
}

KdumpMemory::~KdumpMemory() = default;

std::unique_ptr<KdumpMemory::Context> KdumpMemory::borrow() const {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) {
    return std::make_unique<Context>();
  }
  std::unique_ptr<Context> context = std::move(idle_.back());
  idle_.pop_back();
  return context;
}

void KdumpMemory::give_back(std::unique_ptr<Context> context) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(context));
}

// Nothing is looked at behind the run itself: it would be looked at again for each short run
// before.
Extent KdumpMemory::extent(PhysAddr address) const {
  if (address.value >= kMaxPhysAddr) {
    return {{address, 0}, Presence::absent};
  }
  const Pfn pfn = pfn_of(address);
  const auto until = [&](Pfn end, Presence presence) {
    return Extent{{address, address_of(end).value - address.value}, presence};
  };
  switch (const Presence kind = presence(address)) {
    case Presence::absent:
      return until(ram_.next_run(pfn, kEndPfn, 1).first, kind);
    case Presence::excluded:
      return until(excluded_end(pfn), kind);
    case Presence::lost:
      return until(lost_.next_run(pfn, kEndPfn).end(), kind);
    default: {
      const Pfn end = kept_.next_run(pfn, kEndPfn).end();
      const PfnRange lost = lost_.next_run(pfn, end, 1);
      return until(lost.count != 0 ? lost.first : end, kind);
    }
  }
}

Presence KdumpMemory::presence(PhysAddr address) const {
  const Pfn pfn = pfn_of(address);
  if (kept_.contains(pfn)) {
    return lost_.contains(pfn) ? Presence::lost : Presence::data;
  }
  return ram_.contains(pfn) ? Presence::excluded : Presence::absent;
}

Pfn KdumpMemory::excluded_end(Pfn pfn) const {
  std::uint64_t before = (1ULL << (pfn.value % 64)) - 1;  // bits of the word that are not asked for
  for (std::uint64_t at = pfn.value / 64 * 64; at < kEndPfn.value; at += 64) {
    const std::uint64_t others = (kept_.word({at}) | ~ram_.word({at})) & ~before;
    if (others != 0) {
      return {at + static_cast<std::uint64_t>(std::countr_zero(others))};
    }
    before = 0;
  }
  return kEndPfn;
}

Result<ReadExtent> KdumpMemory::read(PhysAddr address, std::span<std::byte> out) const {
  Loan loan(*this);
  ReadExtent result;
  while (result.good < out.size()) {
    const PhysAddr at = address + result.good;
    const Pfn pfn = pfn_of(at);
    const std::uint64_t in_page = at.value % kPageSize;
    const std::span<std::byte> rest = out.subspan(result.good);
    const std::uint64_t whole = in_page == 0 ? rest.size() / kPageSize : 0;
    const std::uint64_t wanted = std::clamp<std::uint64_t>(whole, 1, kBatchPages);
    const PfnRange run = kept_.next_run(pfn, pfn + wanted);
    if (at.value >= kMaxPhysAddr || run.count == 0 || run.first > pfn) {
      result.first_bad = PhysAddr{page_floor(at.value)};
      return result;
    }
    if (whole == 0) {
      TRY_ASSIGN(const std::span<const std::byte> page, cached_page(loan.context(), pfn));
      if (page.empty()) {
        result.first_bad = PhysAddr{page_floor(at.value)};
        return result;
      }
      const auto part = page.subspan(in_page, std::min(rest.size(), kPageSize - in_page));
      std::memcpy(rest.data(), part.data(), part.size());
      result.good += part.size();
      continue;
    }
    TRY_ASSIGN(const std::size_t good,
               read_pages(loan.context(), pfn, rest.first(run.count * kPageSize)));
    result.good += good * kPageSize;
    if (good < run.count) {
      result.first_bad = address + result.good;
      return result;
    }
  }
  return result;
}

Result<> KdumpMemory::read_descs(std::uint64_t rank, std::span<PageDesc> descs) const {
  std::ranges::fill(descs, PageDesc{});
  const std::span<std::byte> bytes = std::as_writable_bytes(descs);
  TRY_ASSIGN(const std::size_t got, source_->read(places_.descs + rank * sizeof(PageDesc), bytes));
  if (got % sizeof(PageDesc) != 0) {
    descs[got / sizeof(PageDesc)] = PageDesc{};
  }
  return {};
}

// A page that is stored as it is and all zero is taken for the shared one: writers store no other.
bool KdumpMemory::unpack(Context& context, const PageDesc& desc, std::span<const std::byte> data,
                         std::span<std::byte> page) const {
  const Codec codec = *codec_from_flags(desc.flags);
  if (codec == Codec::none) {
    std::memcpy(page.data(), data.data(), data.size());
    if (zero_page_.load(std::memory_order_relaxed) == 0 && all_zero(page)) {
      zero_page_.store(desc.offset, std::memory_order_relaxed);
    }
    return true;
  }
  auto& decompressor = context.decompressors[static_cast<std::size_t>(codec)];
  if (!decompressor) {
    if (auto made = make_decompressor(codec); made) {
      decompressor = *std::move(made);
    } else {
      return false;
    }
  }
  return decompressor->decompress(data, page).has_value();
}

Result<std::size_t> KdumpMemory::read_adjacent(Context& context, std::span<const PageDesc> descs,
                                               std::uint64_t zero_page,
                                               std::span<std::byte> out) const {
  const std::uint64_t begin = descs.front().offset;
  std::size_t size = 0;
  std::size_t count = 0;
  for (const PageDesc& desc : descs) {
    if (!is_usable(desc, places_) || (!is_zero(desc, zero_page) && desc.offset != begin + size)) {
      break;
    }
    size += is_zero(desc, zero_page) ? 0U : std::size_t{desc.size};
    ++count;
  }
  context.data.resize(std::max(context.data.size(), size));
  TRY_ASSIGN(const std::size_t got, source_->read(begin, std::span(context.data).first(size)));
  std::span<const std::byte> data = std::span(context.data).first(got);
  for (std::size_t i = 0; i < count; ++i) {
    const std::span<std::byte> page = page_of(out, i);
    if (is_zero(descs[i], zero_page)) {
      std::memset(page.data(), 0, page.size());
      continue;
    }
    const std::uint32_t packed = descs[i].size;
    if (data.size() < packed || !unpack(context, descs[i], data.first(packed), page)) {
      return i;
    }
    data = data.subspan(packed);
  }
  return count;
}

Result<std::size_t> KdumpMemory::read_pages(Context& context, Pfn first,
                                            std::span<std::byte> out) const {
  const std::uint64_t zero_page = zero_page_.load(std::memory_order_relaxed);
  const auto descs = std::span(context.descs).first(out.size() / kPageSize);
  TRY(read_descs(kept_.rank(first), descs));
  std::size_t done = 0;
  while (done < descs.size()) {
    TRY_ASSIGN(const std::size_t good, read_adjacent(context, descs.subspan(done), zero_page,
                                                     out.subspan(done * kPageSize)));
    if (good == 0) {
      break;
    }
    done += good;
  }
  return done;
}

Result<std::span<const std::byte>> KdumpMemory::cached_page(Context& context, Pfn pfn) const {
  context.cache.resize(kCachedPages * kPageSize);
  const std::size_t slot = pfn.value % kCachedPages;
  const std::span<std::byte> page = page_of(context.cache, slot);
  if (context.cached[slot] != pfn) {
    context.cached[slot].reset();
    TRY_ASSIGN(const std::size_t good, read_pages(context, pfn, page));
    if (good == 0) {
      return std::span<const std::byte>();
    }
    context.cached[slot] = pfn;
  }
  return page;
}

}  // namespace vmcore::formats
