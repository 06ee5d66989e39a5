#include "src/convert/memory_use.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <utility>

#include "filters/page_runs.h"
#include "src/convert/provenance.h"

namespace vmcore::convert {
namespace {

using filters::for_each_run;

constexpr std::uint64_t kPageSize = 4096;

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

void count_pages(const filters::ClassifiedPlan& classified, MemoryUse& use) {
  PageSet ram;
  for (const PageSet& pages : classified.classes) {
    for_each_run(pages, [&](PfnRange run) { ram.insert(run); });
  }
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

void append(std::vector<Remark>& to, const std::vector<Remark>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

Result<MemoryUse> memory_use(const MemoryImage& image, const ConvertOptions& options,
                             std::stop_token stop) {
  MemoryUse use;
  use.incomplete = image.file.incomplete;
  append(use.remarks, image.remarks);
  if (const auto provenance = read_provenance(image)) {
    append(use.remarks, provenance->remarks);
  }
  TRY_ASSIGN(const kernel::FoundKernels found, kernel::find_kernels(image, options.search));
  if (found.kernels.empty()) {
    return fail(Errc::not_found, "the guest's kernel was not found: {}",
                found.remarks.empty() ? "no VMCOREINFO" : found.remarks.back().text);
  }
  append(use.remarks, found.remarks);
  const kernel::GuestKernel& kernel = found.kernels.front();
  use.release = kernel.info().release();
  const unsigned before = level_before(image);
  const filters::PlanOptions plan_options{.level = options.level, .threads = options.threads};
  auto classified = filters::classify(*image.memory, kernel, before, plan_options, std::move(stop));
  if (!classified) {
    return in_context(std::move(classified).error(), "what the pages are used for cannot be told");
  }
  append(use.remarks, classified->plan.remarks);
  use.kept_pages = classified->plan.kept.count();
  use.level_reached = classified->plan.level_reached;
  use.excluded_before = classified->plan.excluded_before;
  if ((before & ~filters::kLevelZero) != 0 && use.excluded_before == 0) {
    use.remarks.push_back(
        {Errc::not_found,
         fmt::format("the file was filtered at level {} and does not tell what was left out from "
                     "holes: only what it holds is counted",
                     before)});
  }
  count_pages(*classified, use);
  return use;
}

}  // namespace vmcore::convert
