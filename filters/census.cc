#include "filters/census.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <utility>

#include "filters/page_rules.h"
#include "src/base/threads.h"

namespace vmcore::filters {
namespace {

// Page frames judged at a time: 2 MiB of struct pages, and even, so that a compound's second struct
// page is never in the next block.
constexpr std::uint64_t kBlockPages = 32768;

struct Block {
  Pfn first;
  std::uint64_t count = 0;
  VirtAddr pages;
};

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
      blocks.push_back(
          {first, next.first - first, run.pages + (first - run.first) * memmap.struct_page_size});
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
      judge_pages(block.first + done, bytes.first(readable * layout_.struct_size));
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
    const std::uint64_t bytes = 4096 - address % 4096;
    const std::uint64_t skipped = std::min(
        block.count - done,
        std::max<std::uint64_t>(1, (bytes + layout_.struct_size - 1) / layout_.struct_size));
    unreadable_.push_back({block.first + done, skipped});
    return skipped;
  }

  void judge_pages(Pfn first, std::span<const std::byte> bytes) {
    const std::uint64_t count = bytes.size() / layout_.struct_size;
    for (std::uint64_t i = 0; i < count;) {
      const std::uint64_t pfn = first.value + i;
      const PageView page = view_page(layout_, bytes.subspan(i * layout_.struct_size), pfn);
      const Verdict verdict = judge(layout_, page, pfn);
      note_what_was_seen(page, verdict);
      if (verdict.page_class != PageClass::kernel) {
        append({{pfn}, verdict.pages}, verdict.page_class);
        reached_out_ = reached_out_ || pfn % kBlockPages + verdict.pages > kBlockPages;
      }
      i += verdict.pages;
    }
  }

  void note_what_was_seen(const PageView& page, const Verdict& verdict) {
    seen_.heads += page.head ? 1U : 0U;
    seen_.with_tail += page.head && page.tail_follows ? 1U : 0U;
    seen_.slab += is_slab(layout_, page) ? 1U : 0U;
    seen_.free +=
        verdict.page_class == PageClass::free || verdict.page_class == PageClass::unaccepted
            ? verdict.pages
            : 0;
  }

  void append(PfnRange range, PageClass page_class) {
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

}  // namespace

void add(const CensusCounts& counts, CensusCounts& to) {
  to.heads += counts.heads;
  to.with_tail += counts.with_tail;
  to.slab += counts.slab;
  to.free += counts.free;
}

Result<Census> take_census(const kernel::GuestKernel& kernel, const kernel::Memmap& memmap,
                           const PageLayout& layout, const PageSet& ram, unsigned threads,
                           std::stop_token stop) {
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
  return census;
}

}  // namespace vmcore::filters
