// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/census.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
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
constexpr std::uint64_t kBlockWords = kBlockPages / 64;

struct Block {
  Pfn first;
  std::uint64_t count = 0;
  VirtAddr pages;
  bool offline = false;
};

// How many bytes of struct pages are fetched ahead. The processor alone stops at the end of each
// page of memory, and waits for the next page: a third of the time (tests/bench/judging.cc).
constexpr std::size_t kAhead = 2048;

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

// The pages of one block by class: a bit each, as a PageSet has them.
class BlockClasses {
 public:
  // `first`: a multiple of kBlockPages.
  void begin(Pfn first) {
    first_ = first;
    for_each_class([](Words& words, std::size_t) { words = {}; });
    used_ = 0;
  }
  void set(Pfn page, PageClass page_class) {
    Words& words = words_[static_cast<std::size_t>(page_class)];
    used_ |= mask_of(page_class);
    words[(page - first_) / 64] |= std::uint64_t{1} << (page - first_) % 64;
  }
  // A range within the block.
  void set(PfnRange range, PageClass page_class) {
    Words& words = words_[static_cast<std::size_t>(page_class)];
    used_ |= mask_of(page_class);
    const std::uint64_t end = range.end() - first_;
    for (std::uint64_t at = range.first - first_; at < end;) {
      const std::uint64_t bits = std::min(end - at, 64 - at % 64);
      words[at / 64] |= (~std::uint64_t{0} >> (64 - bits)) << at % 64;
      at += bits;
    }
  }
  void take_out(Pfn page, PageClass page_class) {
    words_[static_cast<std::size_t>(page_class)][(page - first_) / 64] &=
        ~(std::uint64_t{1} << (page - first_) % 64);
  }
  // Those of them that are in `ram`.
  void add_to(std::array<PageSet, kPageClasses>& pages, const PageSet& ram) {
    for (std::uint64_t i = 0; i < kBlockWords; ++i) {
      const std::uint64_t there = ram.word(first_ + i * 64);
      for_each_class([&](Words& words, std::size_t) { words[i] &= there; });
    }
    for_each_class(
        [&](const Words& words, std::size_t page_class) { insert(words, pages[page_class]); });
  }

 private:
  using Words = std::array<std::uint64_t, kBlockWords>;

  template <class Each>
  void for_each_class(Each each) {
    for (ClassMask left = used_; left != 0; left &= left - 1) {
      const auto page_class = static_cast<std::size_t>(std::countr_zero(left));
      each(words_[page_class], page_class);
    }
  }

  void insert(const Words& words, PageSet& set) const {
    if (std::ranges::all_of(words, [](std::uint64_t word) { return word == ~std::uint64_t{0}; })) {
      set.insert({first_, kBlockPages});  // takes no memory
      return;
    }
    for (std::uint64_t i = 0; i < kBlockWords; ++i) {
      set.insert_word(first_ + i * 64, words[i]);
    }
  }

  Pfn first_;
  std::array<Words, kPageClasses> words_{};
  ClassMask used_ = 0;
};

// Judges blocks on one thread.
class Enumerator {
 public:
  Enumerator(const kernel::GuestKernel& kernel, const PageLayout& layout, const PageSet& ram,
             bool poison_in_blocks)
      : kernel_(kernel), layout_(layout), ram_(ram), poison_in_blocks_(poison_in_blocks) {}

  Result<> judge_block(const Block& block) {
    block_.begin({block.first.value / kBlockPages * kBlockPages});
    for (std::uint64_t done = 0; done < block.count;) {
      TRY_ASSIGN(const auto found, struct_pages(block, done));
      if (block.offline && !is_of_device(found)) {
        judge_offline_pages(block.first + done, found);
      } else {
        judge_pages(block.first + done, found);
      }
      done += found.size() / layout_.struct_size;
      if (done < block.count) {
        done += skip_unreadable(block, done);
      }
    }
    insert_ram(census_.with_memmap, {block.first, block.count});
    block_.add_to(census_.pages, ram_);
    return {};
  }

  // Of all blocks. Call last.
  Census take_census() { return std::move(census_); }
  // Whether a page of some block was judged to decide for pages of another.
  bool reached_out() const { return reached_out_; }

 private:
  // The block's struct pages from the one of that number on, as far as they can be had. Valid until
  // the next call.
  Result<std::span<const std::byte>> struct_pages(const Block& block, std::uint64_t done) {
    const VirtAddr address = block.pages + done * layout_.struct_size;
    const std::uint64_t size = (block.count - done) * layout_.struct_size;
    const auto mapping = kernel_.page_tables().translate(address);
    if (mapping && mapping->size >= size) {
      if (const auto lent = kernel_.memory().view({mapping->address, size}); lent.size() == size) {
        return lent;
      }
    }
    buffer_.resize(kBlockPages * layout_.struct_size);
    const auto bytes = std::span(buffer_).first(size);
    TRY_ASSIGN(const ReadExtent got, kernel_.read(address, bytes));
    return bytes.first(got.good / layout_.struct_size * layout_.struct_size);
  }

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
    insert_ram(census_.unreadable, {block.first + done, skipped});
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
      census_.seen.doubtful_offline += count;
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
      block_.set(first + i, judge_offline(layout_, page, initialised && page.flags != kUnused));
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
    CensusCounts seen;  // in registers, unlike that of the census
    for (std::uint64_t i = 0; i < count;) {
      const auto rest = bytes.subspan(i * layout_.struct_size);
      __builtin_prefetch(rest.data() + kAhead);  // may be behind the end, where it does nothing
      const Pfn pfn = first + i;
      const JudgedPage page = judge_page(layout_, rest, pfn.value);
      const Verdict& verdict = page.verdict;
      note_what_was_seen(page, seen);
      i += verdict.pages;
      if (verdict.page_class == PageClass::kernel) {
        continue;
      }
      if (verdict.pages == 1) {
        block_.set(pfn, verdict.page_class);
      } else {
        set_several(pfn, verdict, rest);
      }
    }
    add(seen, census_.seen);
  }

  static void note_what_was_seen(const JudgedPage& page, CensusCounts& seen) {
    const Verdict& verdict = page.verdict;
    seen.heads += page.head ? 1U : 0U;
    seen.with_tail += page.head && page.tail_follows ? 1U : 0U;
    seen.slab += page.slab ? 1U : 0U;
    seen.free += verdict.page_class == PageClass::free ? verdict.pages : 0;
    seen.unaccepted += verdict.page_class == PageClass::unaccepted ? verdict.pages : 0;
  }

  // Pages for which the first decides. `bytes`: their struct pages, as far as they were read.
  void set_several(Pfn first, const Verdict& verdict, std::span<const std::byte> bytes) {
    const PfnRange range{first, verdict.pages};
    set(range, verdict.page_class);
    if (poison_in_blocks_) {
      set_poisoned(range, verdict.page_class, bytes);
    }
  }

  void set(PfnRange range, PageClass page_class) {
    const std::uint64_t in_block =
        std::min(range.count, kBlockPages - range.first.value % kBlockPages);
    block_.set({range.first, in_block}, page_class);
    if (in_block < range.count) {
      insert_ram(census_.pages[static_cast<std::size_t>(page_class)],
                 {range.first + in_block, range.count - in_block});
      reached_out_ = true;
    }
  }

  // Those of them that are poisoned.
  void set_poisoned(PfnRange range, PageClass page_class, std::span<const std::byte> bytes) {
    const std::uint64_t count = std::min(range.count, bytes.size() / layout_.struct_size);
    for (std::uint64_t i = 1; i < count; ++i) {
      if (is_poisoned(layout_, bytes.subspan(i * layout_.struct_size))) {
        block_.take_out(range.first + i, page_class);
        block_.set(range.first + i, PageClass::hwpoison);
      }
    }
  }

  const kernel::GuestKernel& kernel_;
  const PageLayout& layout_;
  const PageSet& ram_;
  bool poison_in_blocks_;
  std::vector<std::byte> buffer_;
  BlockClasses block_;
  Census census_;
  bool reached_out_ = false;
};

void add(PageSet part, PageSet& to) {
  if (to.end().value == 0) {
    to = std::move(part);
  } else {
    to.insert(part);
  }
}

void add(Census part, Census& to) {
  for (std::size_t i = 0; i < kPageClasses; ++i) {
    add(std::move(part.pages[i]), to.pages[i]);
  }
  add(std::move(part.with_memmap), to.with_memmap);
  add(std::move(part.unreadable), to.unreadable);
  add(part.seen, to.seen);
}

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
                           const CensusOptions& options, std::stop_token stop) {
  const std::vector<Block> blocks = cut_into_blocks(memmap, ram);
  Census census;
  std::optional<Error> error;
  std::mutex mutex;
  std::atomic<std::size_t> next{0};
  bool overlaps = false;

  on_threads(options.threads, [&](unsigned) {
    Enumerator enumerator(kernel, layout, ram, options.poison_in_blocks);
    for (std::size_t i = next++; i < blocks.size() && !stop.stop_requested(); i = next++) {
      if (const Result<> judged = enumerator.judge_block(blocks[i]); !judged) {
        const std::scoped_lock lock(mutex);
        error = judged.error();
        next = blocks.size();
        return;
      }
    }
    const std::scoped_lock lock(mutex);
    add(enumerator.take_census(), census);
    overlaps = overlaps || enumerator.reached_out();
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
