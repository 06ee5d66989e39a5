// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/convert/memory_use.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "filters/page_runs.h"
#include "src/convert/provenance.h"
#include "src/image/page.h"
#include "src/kernel/arch/arch.h"
#include "src/kernel/memmap.h"

namespace vmcore::convert {
namespace {

using filters::for_each_run;

// Bins of that many pages that hold a member; enough of them once they are more than are allowed.
std::vector<MemoryBin> bins_over(const PageSet& ram, std::uint64_t bin_pages) {
  std::vector<MemoryBin> bins;
  const Pfn end = ram.end();
  for (Pfn pfn{0}; bins.size() <= kMaxMemoryBins;) {
    const PfnRange page = ram.next_run(pfn, end, 1);
    if (page.count == 0) {
      break;
    }
    const std::uint64_t first = page.first.value - page.first.value % bin_pages;
    bins.push_back({{first * kPageSize}, {}});
    pfn = Pfn{first + bin_pages};
  }
  return bins;
}

// The finest bins that are not too many.
void make_bins(const PageSet& ram, MemoryUse& use) {
  std::uint64_t pages = std::bit_ceil(
      std::max<std::uint64_t>(1, (ram.count() + kMaxMemoryBins - 1) / kMaxMemoryBins));
  use.bins = bins_over(ram, pages);
  while (use.bins.size() > kMaxMemoryBins) {  // holes
    pages *= 2;
    use.bins = bins_over(ram, pages);
  }
  use.bin_size = pages * kPageSize;
}

// Calls count(bin, pages) for the part of each bin that is in the set.
template <class Count>
void count_in_bins(const PageSet& set, MemoryUse& use, Count count) {
  const std::uint64_t bin_pages = use.bin_size / kPageSize;
  auto bin = use.bins.begin();
  for_each_run(set, [&](PfnRange run) {
    for (Pfn pfn = run.first; pfn < run.end();) {
      const std::uint64_t start = (pfn.value - pfn.value % bin_pages) * kPageSize;
      bin = std::find_if(bin, use.bins.end(),
                         [&](const MemoryBin& each) { return each.start.value == start; });
      const Pfn end = std::min(run.end(), Pfn{start / kPageSize + bin_pages});
      count(*bin, end - pfn);
      pfn = end;
    }
  });
}

PageSet intersection(const PageSet& a, const PageSet& b) {
  PageSet both;
  for_each_run(a, [&](PfnRange run) {
    for (PfnRange part = b.next_run(run.first, run.end()); part.count != 0;
         part = b.next_run(part.end(), run.end())) {
      both.insert(part);
    }
  });
  return both;
}

PageSet all_of(const std::array<PageSet, filters::kPageClasses>& classes) {
  PageSet all;
  for (const PageSet& pages : classes) {
    all.insert(pages);
  }
  return all;
}

void count_pages(const filters::ClassifiedPlan& classified, const PageSet& ram, MemoryUse& use) {
  make_bins(ram, use);
  for (std::size_t i = 0; i < filters::kPageClasses; ++i) {
    use.pages.by_class[i] = classified.classes[i].count();
    count_in_bins(classified.classes[i], use,
                  [i](MemoryBin& bin, std::uint64_t pages) { bin.pages.by_class[i] += pages; });
  }
  const PageSet& free = classified.classes[static_cast<std::size_t>(filters::PageClass::free)];
  const PageSet zero = intersection(classified.plan.zero, free);
  use.pages.free_zero = zero.count();
  count_in_bins(zero, use,
                [](MemoryBin& bin, std::uint64_t pages) { bin.pages.free_zero += pages; });
}

// Pages of the memmap's sections none of which is in `ram`. A section is the least that Linux gives
// a memmap of its own, the holes in it included.
std::uint64_t pages_beyond(const PageSet& ram, const kernel::GuestKernel& kernel,
                           const kernel::Memmap& memmap) {
  const std::uint64_t section_pages = 1ULL << (kernel.arch().section_bits - kPageShift);
  std::uint64_t pages = 0;
  for (const kernel::MemmapRun& run : memmap.runs) {
    const std::uint64_t end = run.first.value + run.count;
    for (std::uint64_t pfn = run.first.value; pfn < end;) {
      const std::uint64_t next = std::min(end, (pfn / section_pages + 1) * section_pages);
      pages += ram.next_run({pfn}, {next}, 1).count == 0 ? next - pfn : 0;
      pfn = next;
    }
  }
  return pages;
}

// What the kernel has, but the source has not.
void remark_on_missing(unsigned level_before, std::uint64_t unseen, MemoryUse& use) {
  if ((level_before & ~filters::kLevelZero) != 0 && use.excluded_before == 0) {
    use.remarks.push_back(
        {Errc::not_found,
         fmt::format("the file was filtered at level {} and does not distinguish excluded pages "
                     "from holes: only the pages in the file are counted",
                     level_before),
         Severity::fact});
  } else if (unseen != 0) {
    use.remarks.push_back(
        {Errc::not_found, fmt::format("the guest has up to {} MiB more memory that is not visible "
                                      "here and not counted (DIMMs, memory of devices)",
                                      unseen / 256)});
  }
}

void append(std::vector<Remark>& to, const std::vector<Remark>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Result<MemoryUse> memory_use(const MemoryImage& image, const ConvertOptions& options,
                             const std::stop_token& stop) {
  TRY_ASSIGN(const Subject subject, find_subject(image, options.search, nullptr, options.hint));
  return memory_use(image, subject, options, stop);
}

Result<MemoryUse> memory_use(const MemoryImage& image, const Subject& subject,
                             const ConvertOptions& options, const std::stop_token& stop) {
  MemoryUse use;
  use.incomplete = image.file.incomplete;
  append(use.remarks, image.remarks);
  remark_on_newer_note(image, use.remarks);
  if (const auto provenance = read_provenance(image)) {
    append(use.remarks, provenance->remarks);
  }
  use.place = subject.place();
  const kernel::FoundKernels& found = subject.found;
  if (found.kernels.empty()) {
    return fail(Errc::not_found, "the guest's kernel was not found: {}",
                found.remarks.empty() ? "no VMCOREINFO" : found.remarks.back().text);
  }
  append(use.remarks, found.remarks);
  const kernel::GuestKernel& kernel = found.kernels.front();
  use.release = kernel.info().release();
  const unsigned before = level_before(image);
  const filters::PlanOptions plan_options{.level = options.how.level,
                                          .threads = options.how.threads,
                                          .torn = options.torn || was_torn(image)};
  auto classified = filters::classify(*subject.image().memory, kernel, before, plan_options, stop);
  if (!classified) {
    return in_context(std::move(classified).error(), "the use of the pages is not known");
  }
  append(use.remarks, classified->plan.remarks);
  use.kept_pages = classified->plan.kept.count();
  use.excluded_before = classified->plan.excluded_before;
  const PageSet ram = all_of(classified->classes);
  count_pages(*classified, ram, use);
  TRY_ASSIGN(const kernel::Memmap memmap, kernel::read_memmap(kernel));
  remark_on_missing(before, pages_beyond(ram, kernel, memmap), use);
  return use;
}

}  // namespace vmcore::convert
