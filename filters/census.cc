// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/census.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "filters/page_rules.h"
#include "filters/page_runs.h"
#include "src/base/little_endian.h"
#include "src/base/threads.h"
#include "src/image/page.h"

namespace vmcore::filters {
namespace {

// Page frames judged at a time: 2 MiB of struct pages, and even, so that a compound's second struct
// page is never in the next block.
constexpr std::uint64_t kBlockPages = 32768;

struct Block {
  Pfn first;
  std::uint64_t count = 0;
  VirtAddr pages;
  bool offline = false;
};

// Page frames by which memory of devices comes and goes (SUBSECTION_SHIFT, v5.3, f1eca35a0dc7).
constexpr std::uint64_t kSubsectionPages = 512;
// What a kernel with CONFIG_DEBUG_VM fills the flags of struct pages with that are not in use
// (PAGE_POISON_PATTERN, include/linux/page-flags.h).
constexpr std::uint64_t kUnused = ~std::uint64_t{0};

// The blocks that hold RAM: the others need not be read at all.
std::vector<Block> cut_into_blocks(const kernel::Memmap& memmap, const PageSet& ram) {
  std::vector<Block> blocks;
  for (const kernel::MemmapRun& run : memmap.runs) {
    const Pfn end = run.first + run.count;
    for (PfnRange next = ram.next_run(run.first, end, 1); next.count != 0;
         next = ram.next_run(next.first, end, 1)) {
      const Pfn block{next.first.value / kBlockPages * kBlockPages};
      const Pfn first = std::max(block, run.first);
      next.first = std::min(block + kBlockPages, end);
      blocks.push_back({first, next.first - first,
                        run.pages + (first - run.first) * memmap.struct_page_size, run.offline});
    }
  }
  return blocks;
}

// Judges blocks on one thread and collects runs of equal class.
class Enumerator {
 public:
  Enumerator(const kernel::GuestKernel& kernel, const PageLayout& layout, const PageSet& ram)
      : kernel_(kernel), layout_(layout), ram_(ram), buffer_(kBlockPages * layout.struct_size) {}

  Result<> judge_block(const Block& block) {
    runs_.clear();
    unreadable_.clear();
    for (std::uint64_t done = 0; done < block.count;) {
      const auto bytes = std::span(buffer_).first((block.count - done) * layout_.struct_size);
      TRY_ASSIGN(const ReadExtent got,
                 kernel_.read(block.pages + done * layout_.struct_size, bytes));
      const std::uint64_t readable = got.good / layout_.struct_size;
      const auto found = bytes.first(readable * layout_.struct_size);
      if (block.offline && !is_of_device(found)) {
        judge_offline_pages(block.first + done, found);
      } else {
        judge_pages(block.first + done, found);
      }
      done += readable;
      if (done < block.count) {
        done += skip_unreadable(block, done);
      }
    }
    return {};
  }

  // Adds what was found in the last block. The caller holds the lock of `census`.
  void add_to(Census& census, const Block& block) {
    insert_ram(census.with_memmap, {block.first, block.count});
    for (const auto& [range, page_class] : runs_) {
      insert_ram(census.pages[static_cast<std::size_t>(page_class)], range);
    }
    for (const PfnRange& range : unreadable_) {
      insert_ram(census.unreadable, range);
    }
    add(std::exchange(seen_, {}), census.seen);
  }

  // Whether a page of some block was judged to decide for pages of another.
  bool reached_out() const { return reached_out_; }

 private:
  void insert_ram(PageSet& set, PfnRange range) const {
    for (Pfn pfn = range.first; pfn < range.end();) {
      const PfnRange run = ram_.next_run(pfn, range.end());
      if (run.count == 0) {
        return;
      }
      set.insert(run);
      pfn = run.end();
    }
  }

  // Struct pages up to the next page boundary of their own array cannot be read.
  std::uint64_t skip_unreadable(const Block& block, std::uint64_t done) {
    const std::uint64_t address = block.pages.value + done * layout_.struct_size;
    const std::uint64_t bytes = kPageSize - address % kPageSize;
    const std::uint64_t skipped = std::min(
        block.count - done,
        std::max<std::uint64_t>(1, (bytes + layout_.struct_size - 1) / layout_.struct_size));
    unreadable_.push_back({block.first + done, skipped});
    return skipped;
  }

  std::uint64_t flags_of(std::span<const std::byte> bytes, std::uint64_t i) const {
    return load<std::uint64_t>(bytes, i * layout_.struct_size + layout_.flags).value_or(0);
  }

  // Whether struct pages of an offline section are those of a device's memory, which is in use:
  // those of a whole subsection are in its zone. Where they were never written they hold anything,
  // but not that.
  bool is_of_device(std::span<const std::byte> bytes) {
    const std::uint64_t count = bytes.size() / layout_.struct_size;
    if (!layout_.zone_field) {
      seen_.doubtful_offline += count;
      return true;
    }
    std::uint64_t in_a_row = 0;
    for (std::uint64_t i = 0; i < count && in_a_row < kSubsectionPages; ++i) {
      const std::uint64_t flags = flags_of(bytes, i);
      in_a_row = flags != kUnused && layout_.zone_field->is_device(flags) ? in_a_row + 1 : 0;
    }
    return in_a_row == kSubsectionPages;
  }

  void judge_offline_pages(Pfn first, std::span<const std::byte> bytes) {
    const std::uint64_t count = bytes.size() / layout_.struct_size;
    const bool initialised = are_of_one_zone(bytes);
    for (std::uint64_t i = 0; i < count; ++i) {
      const PageView page =
          view_page(layout_, bytes.subspan(i * layout_.struct_size), first.value + i);
      append({first + i, 1}, judge_offline(layout_, page, initialised && page.flags != kUnused));
    }
  }

  // A section is of one zone once it was online.
  bool are_of_one_zone(std::span<const std::byte> bytes) const {
    const std::uint64_t count = bytes.size() / layout_.struct_size;
    const auto place = [&](std::uint64_t i) {
      return layout_.zone_field->place_of(flags_of(bytes, i));
    };
    for (std::uint64_t i = 1; i < count; ++i) {
      if (place(i) != place(0)) {
        return false;
      }
    }
    return true;
  }

  void judge_pages(Pfn first, std::span<const std::byte> bytes) {
    const std::uint64_t count = bytes.size() / layout_.struct_size;
    for (std::uint64_t i = 0; i < count;) {
      const std::uint64_t pfn = first.value + i;
      const PageView page = view_page(layout_, bytes.subspan(i * layout_.struct_size), pfn);
      const Verdict verdict = judge(layout_, page, pfn);
      note_what_was_seen(page, verdict);
      if (verdict.page_class != PageClass::kernel) {
        append_block({{pfn}, verdict.pages}, verdict.page_class,
                     bytes.subspan(i * layout_.struct_size));
        reached_out_ = reached_out_ || pfn % kBlockPages + verdict.pages > kBlockPages;
      }
      i += verdict.pages;
    }
  }

  void note_what_was_seen(const PageView& page, const Verdict& verdict) {
    seen_.heads += page.head ? 1U : 0U;
    seen_.with_tail += page.head && page.tail_follows ? 1U : 0U;
    seen_.slab += is_slab(layout_, page) ? 1U : 0U;
    seen_.free += verdict.page_class == PageClass::free ? verdict.pages : 0;
    seen_.unaccepted += verdict.page_class == PageClass::unaccepted ? verdict.pages : 0;
  }

  // Pages for which the first decides, but for those that are poisoned. `bytes`: their struct
  // pages, as far as they were read.
  void append_block(PfnRange range, PageClass page_class, std::span<const std::byte> bytes) {
    const std::uint64_t count = std::min(range.count, bytes.size() / layout_.struct_size);
    std::uint64_t done = 0;
    for (std::uint64_t i = 1; i < count; ++i) {
      if (is_poisoned(layout_, bytes.subspan(i * layout_.struct_size))) {
        append({range.first + done, i - done}, page_class);
        append({range.first + i, 1}, PageClass::hwpoison);
        done = i + 1;
      }
    }
    append({range.first + done, range.count - done}, page_class);
  }

  void append(PfnRange range, PageClass page_class) {
    if (range.count == 0) {
      return;
    }
    if (!runs_.empty() && runs_.back().second == page_class &&
        runs_.back().first.end() == range.first) {
      runs_.back().first.count += range.count;
    } else {
      runs_.emplace_back(range, page_class);
    }
  }

  const kernel::GuestKernel& kernel_;
  const PageLayout& layout_;
  const PageSet& ram_;
  std::vector<std::byte> buffer_;
  std::vector<std::pair<PfnRange, PageClass>> runs_;
  std::vector<PfnRange> unreadable_;
  CensusCounts seen_;
  bool reached_out_ = false;
};

// A gigantic page decides for pages of other blocks, which a hostile memmap may claim for another
// class as well: the first class has them then, and no page counts twice.
void make_disjoint(Census& census) {
  for (std::size_t first = 0; first < kPageClasses; ++first) {
    for (std::size_t later = first + 1; later < kPageClasses; ++later) {
      census.pages[later].erase(census.pages[first]);
    }
  }
}

void add_listed(const PageSet& listed, const PageSet& ram, Census& census) {
  PageSet pages;
  for_each_run(ram, [&](PfnRange run) {
    for (PfnRange both = listed.next_run(run.first, run.end()); both.count != 0;
         both = listed.next_run(both.end(), run.end())) {
      pages.insert(both);
    }
  });
  for (const PageSet& others : census.pages) {
    pages.erase(others);
  }
  census.pages[static_cast<std::size_t>(PageClass::free)].insert(pages);
}

}  // namespace

void add(const CensusCounts& counts, CensusCounts& to) {
  to.heads += counts.heads;
  to.with_tail += counts.with_tail;
  to.slab += counts.slab;
  to.free += counts.free;
  to.unaccepted += counts.unaccepted;
  to.doubtful_offline += counts.doubtful_offline;
}

Result<Census> take_census(const kernel::GuestKernel& kernel, const kernel::Memmap& memmap,
                           const PageLayout& layout, const PageSet& ram, const PageSet& listed,
                           unsigned threads, std::stop_token stop) {
  const std::vector<Block> blocks = cut_into_blocks(memmap, ram);
  Census census;
  std::optional<Error> error;
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  bool overlaps = false;

  on_threads(threads, [&](unsigned) {
    Enumerator enumerator(kernel, layout, ram);
    for (std::size_t i = next++; i < blocks.size() && !stop.stop_requested(); i = next++) {
      const Result<> judged = enumerator.judge_block(blocks[i]);
      const std::scoped_lock lock(mutex);
      if (!judged) {
        error = judged.error();
        next = blocks.size();
        return;
      }
      enumerator.add_to(census, blocks[i]);
      overlaps = overlaps || enumerator.reached_out();
    }
  });
  if (error) {
    return tl::unexpected(*std::move(error));
  }
  if (stop.stop_requested()) {
    return fail(Errc::cancelled, "cancelled");
  }
  if (overlaps) {
    make_disjoint(census);
  }
  add_listed(listed, ram, census);
  return census;
}

}  // namespace vmcore::filters
