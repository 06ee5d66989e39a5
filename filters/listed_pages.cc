// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/listed_pages.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "filters/page_rules.h"
#include "filters/zones.h"
#include "src/base/little_endian.h"
#include "src/image/page.h"
#include "src/kernel/cpus.h"
#include "src/kernel/kallsyms.h"
#include "src/kernel/type_numbers.h"

namespace vmcore::filters {
namespace {

using kernel::GuestKernel;
using kernel::MemmapRun;

constexpr std::uint64_t kMaxSets = 1 << 18;  // 8192 CPUs with 32 zones
constexpr std::uint64_t kMaxLists = 64;      // of a set
constexpr std::uint64_t kListBytes = 16;     // struct list_head
constexpr std::uint64_t kMaxOffset = 1 << 16;
constexpr unsigned kHugeOrder = 9;    // of transparent huge pages (HPAGE_PMD_ORDER on x86-64)
constexpr unsigned kCostlyOrder = 3;  // PAGE_ALLOC_COSTLY_ORDER (include/linux/mmzone.h)

// struct list_head.
struct Links {
  std::uint64_t next = 0;
  std::uint64_t previous = 0;
};

// struct per_cpu_pages, and the way to it.
struct SetLayout {
  std::uint64_t in_zone = 0;   // the pointer to per-CPU data, in struct zone
  std::uint64_t count_at = 0;  // of the int, from where the pointer leads to
  std::uint64_t lists_at = 0;
  std::uint64_t lists = 0;
  std::uint64_t types = 0;  // of migration, with lists of their own
  std::uint64_t links = 0;  // in struct page
  std::uint64_t references = 0;
  std::uint64_t size() const { return std::max(count_at + 4, lists_at + lists * kListBytes); }

  // Up to v5.13 there are lists of single pages only. Since v5.14 (44042b449872) there is a list
  // for each order up to 3 and each type, and then those of huge pages: one for each type, since
  // v6.7 (5d0a661d808f) one, since v6.11 (bf14ed81f571) two; none without
  // CONFIG_TRANSPARENT_HUGEPAGE.
  bool known() const {
    const std::uint64_t low = types * (kCostlyOrder + 1);
    return types != 0 && types <= 16 && (lists == types || (lists >= low && lists <= low + types));
  }
  unsigned order(std::uint64_t list) const {
    const std::uint64_t order = list / types;
    return order > kCostlyOrder ? kHugeOrder : static_cast<unsigned>(order);
  }
};

Result<SetLayout> set_layout(const GuestKernel& kernel, std::uint64_t struct_page_size) {
  const kernel::TypeNumbers* const types = kernel.types();
  if (types == nullptr) {
    return fail(Errc::not_found, "the kernel has no BTF that can be used");
  }
  const auto first = [&](std::initializer_list<std::string_view> keys) {
    std::optional<std::uint64_t> value;
    for (const std::string_view key : keys) {
      value = value ? value : types->value(key);
    }
    return value;
  };
  // v5.14 (28f836b6777b) renamed the member, and took struct per_cpu_pageset away.
  const auto in_zone = first({"OFFSET(zone.per_cpu_pageset)", "OFFSET(zone.pageset)"});
  const auto set_at = types->value("OFFSET(per_cpu_pageset.pcp)").value_or(0);
  const auto count_at = types->value("OFFSET(per_cpu_pages.count)");
  const auto lists_at = types->value("OFFSET(per_cpu_pages.lists)");
  const auto lists = types->value("LENGTH(per_cpu_pages.lists)");
  const auto kinds = types->value("NUMBER(MIGRATE_PCPTYPES)");
  // Both are the same place (v6.0, bf75f200569d).
  const auto links = first({"OFFSET(page.pcp_list)", "OFFSET(page.lru)"});
  const auto references = types->value("OFFSET(page._refcount)");
  if (!in_zone || !count_at || !lists_at || !lists || !kinds || !links || !references) {
    return fail(Errc::not_found, "BTF does not tell of per-CPU lists");
  }
  if (*in_zone > kMaxOffset || set_at > kMaxOffset || *count_at > kMaxOffset ||
      *lists_at > kMaxOffset || *lists > kMaxLists || struct_page_size < kListBytes ||
      *links > struct_page_size - kListBytes || *references > struct_page_size - 4) {
    return fail(Errc::malformed, "BTF tells of impossible per-CPU lists");
  }
  const SetLayout layout{*in_zone, set_at + *count_at, set_at + *lists_at, *lists, *kinds,
                         *links,   *references};
  if (!layout.known()) {
    return fail(Errc::unsupported, "{} per-CPU lists for {} types of pages", *lists, *kinds);
  }
  return layout;
}

// Reads struct pages at any place of the memmap. It keeps the last translations: one large page of
// the memmap describes 128 MiB of memory, so that most reads of a walk use them again.
class StructPages {
 public:
  StructPages(const GuestKernel& kernel, const kernel::Memmap& memmap)
      : kernel_(kernel), size_(memmap.struct_page_size), bytes_(size_) {
    for (const MemmapRun& run : memmap.runs) {
      if (!run.offline) {
        runs_.push_back(run);
      }
    }
    std::ranges::sort(runs_, {}, &MemmapRun::pages);
  }

  // The pages whose struct pages follow from `at` on; nothing if none begins there.
  std::optional<PfnRange> pages_at(VirtAddr at) const {
    const auto after = std::ranges::upper_bound(runs_, at, {}, &MemmapRun::pages);
    if (after == runs_.begin()) {
      return std::nullopt;
    }
    const MemmapRun& run = *std::prev(after);
    const std::uint64_t offset = at - run.pages;
    const std::uint64_t index = offset / size_;
    return offset % size_ == 0 && index < run.count
               ? std::optional(PfnRange{run.first + index, run.count - index})
               : std::nullopt;
  }

  // The struct page at that address, valid until the next call.
  std::optional<std::span<const std::byte>> read(VirtAddr at) {
    const auto place = at.value % kPageSize + size_ <= kPageSize ? physical(at) : std::nullopt;
    if (place) {
      const auto got = kernel_.memory().read(*place, bytes_);
      return got && got->good == size_ ? std::optional(std::span<const std::byte>(bytes_))
                                       : std::nullopt;
    }
    return kernel_.read_exactly(at, bytes_) ? std::optional(std::span<const std::byte>(bytes_))
                                            : std::nullopt;
  }

 private:
  struct Mapped {
    VirtAddr begin;
    std::uint64_t size = 0;
    PhysAddr place;
  };
  static constexpr std::uint64_t kLargePage = 2 << 20;

  std::optional<PhysAddr> physical(VirtAddr at) {
    Mapped& mapped = mapped_[at.value / kLargePage % mapped_.size()];
    if (at < mapped.begin || at - mapped.begin >= mapped.size) {
      mapped = {};
      for (const std::uint64_t size : {kLargePage, std::uint64_t{kPageSize}}) {
        const VirtAddr begin{at.value & ~(size - 1)};
        const auto mapping = kernel_.page_tables().translate(begin);
        if (mapping && mapping->size >= size) {
          mapped = {begin, size, mapping->address};
          break;
        }
      }
    }
    return mapped.size == 0 ? std::nullopt : std::optional(mapped.place + (at - mapped.begin));
  }

  const GuestKernel& kernel_;
  std::uint64_t size_;
  std::vector<std::byte> bytes_;
  std::vector<MemmapRun> runs_;  // by virtual address
  std::array<Mapped, 64> mapped_;
};

// Where the sets of a zone and all CPUs lie.
Result<std::set<VirtAddr>> find_sets(const GuestKernel& kernel, const SetLayout& layout) {
  const auto zones = read_zones(kernel);
  if (!zones) {
    return fail(Errc::not_found, "VMCOREINFO does not lead to the zones");
  }
  TRY_ASSIGN(const auto cpus, kernel::read_possible_cpus(kernel, *kernel.kallsyms()));
  if (cpus.size() * zones->size() > kMaxSets) {
    return fail(Errc::limit, "{} CPUs and {} zones", cpus.size(), zones->size());
  }
  std::set<VirtAddr> sets;  // zones without memory share those of early boot
  for (const Zone& zone : *zones) {
    TRY_ASSIGN(const auto pointer, kernel.read_value<std::uint64_t>(zone.address + layout.in_zone));
    for (std::size_t i = 0; pointer != 0 && i < cpus.size(); ++i) {
      sets.insert({pointer + cpus[i].per_cpu_offset});
    }
  }
  return sets;
}

class Walk {
 public:
  Walk(const GuestKernel& kernel, const kernel::Memmap& memmap, const PageLayout& layout,
       const SetLayout& sets, PfnRange range)
      : kernel_(kernel),
        layout_(layout),
        sets_(sets),
        range_(range),
        struct_pages_(kernel, memmap) {
    for (const MemmapRun& run : memmap.runs) {
      budget_ += run.count;
    }
  }

  Result<> take(VirtAddr set) {
    std::vector<std::byte> bytes(sets_.size());
    TRY_ASSIGN(const ReadExtent got, kernel_.read(set, bytes));
    const auto count = got.good == bytes.size() ? load<std::int32_t>(bytes, sets_.count_at)
                                                : std::optional<std::int32_t>();
    own_ = {};
    if (count && *count >= 0 && pages_of(set, bytes) == static_cast<std::uint64_t>(*count)) {
      found_.pages.insert(own_);
    } else {
      found_.broken_sets += 1;
      found_.broken_pages += static_cast<std::uint64_t>(std::max(0, count.value_or(0)));
    }
    return {};
  }

  ListedPages found() && { return std::move(found_); }

 private:
  // How many pages are on the lists of the set; nothing if one is not whole.
  std::optional<std::uint64_t> pages_of(VirtAddr set, std::span<const std::byte> bytes) {
    std::uint64_t pages = 0;
    for (std::uint64_t list = 0; list < sets_.lists; ++list) {
      const std::uint64_t at = sets_.lists_at + list * kListBytes;
      const auto length =
          walk_list(set + at, load<Links>(bytes, at).value_or(Links()), sets_.order(list));
      if (!length) {
        return std::nullopt;
      }
      pages += *length;
    }
    return pages;
  }

  // The same of one list. That each entry leads back to the one before it ends every cycle, and no
  // entry can be on two lists.
  std::optional<std::uint64_t> walk_list(VirtAddr head, Links links, unsigned order) {
    std::uint64_t pages = 0;
    std::uint64_t before = head.value;
    const std::uint64_t last = links.previous;
    while (links.next != head.value) {
      const std::uint64_t at = links.next;
      const auto block = take_block({at - sets_.links}, order);
      if (!block || block->previous != before) {
        return std::nullopt;
      }
      before = at;
      links = *block;
      pages += std::uint64_t{1} << order;
    }
    return before == last ? std::optional(pages) : std::nullopt;
  }

  // Adds a block of free pages; returns its links.
  std::optional<Links> take_block(VirtAddr page, unsigned order) {
    const std::uint64_t count = std::uint64_t{1} << order;
    const auto pages = struct_pages_.pages_at(page);
    if (!pages || pages->count < count || pages->first.value % count != 0 || budget_ < count) {
      return std::nullopt;
    }
    budget_ -= count;
    std::optional<Links> links;
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto bytes = struct_pages_.read(page + i * layout_.struct_size);
      if (!bytes || !looks_unused(*bytes, pages->first + i)) {
        return std::nullopt;
      }
      links = i == 0 ? load<Links>(*bytes, sets_.links) : links;
    }
    const Pfn first = std::max(pages->first, range_.first);
    const Pfn end = std::min(pages->first + count, range_.end());
    if (first < end) {
      own_.insert({first, end - first});
    }
    return links;
  }

  // What a freed page has in common with many that are used.
  bool looks_unused(std::span<const std::byte> bytes, Pfn pfn) const {
    const PageView page = view_page(layout_, bytes, pfn.value);
    const PageClass page_class = judge(layout_, page, pfn.value).page_class;
    return load<std::uint32_t>(bytes, sets_.references) == 0U && !page.head && !page.tail &&
           (page_class == PageClass::kernel || page_class == PageClass::hwpoison);
  }

  const GuestKernel& kernel_;
  const PageLayout& layout_;
  const SetLayout& sets_;
  PfnRange range_;
  StructPages struct_pages_;
  std::uint64_t budget_ = 0;  // pages that may still be looked at
  PageSet own_;               // of the set that is walked, in the range
  ListedPages found_;
};

}  // namespace

Result<ListedPages> read_listed_pages(const GuestKernel& kernel, const kernel::Memmap& memmap,
                                      const PageLayout& layout, PfnRange range,
                                      const std::stop_token& stop) {
  TRY_ASSIGN(const SetLayout sets, set_layout(kernel, layout.struct_size));
  TRY_ASSIGN(const std::set<VirtAddr> places, find_sets(kernel, sets));
  Walk walk(kernel, memmap, layout, sets, range);
  for (const VirtAddr place : places) {
    if (stop.stop_requested()) {
      return fail(Errc::cancelled, "cancelled");
    }
    TRY(walk.take(place));
  }
  return std::move(walk).found();
}

}  // namespace vmcore::filters
