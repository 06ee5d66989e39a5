// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/worker/memory_report.h"

#include <numeric>
#include <string>

#include "src/report/bounds.h"

namespace vmcore::worker {
namespace {

std::uint64_t pages_of(const convert::PageCounts& counts, const filters::ClassName& entry) {
  return counts.by_class[static_cast<std::size_t>(entry.page_class)];
}

report::BinUse bin_use(const convert::MemoryBin& bin) {
  report::BinUse use{.start = bin.start.value, .pages = {}, .free_zero = bin.pages.free_zero};
  for (const filters::ClassName& entry : filters::kClassNames) {
    use.pages.push_back(pages_of(bin.pages, entry));
  }
  return use;
}

}  // namespace

report::MemoryReport memory_report(const MemoryImage& image, const convert::MemoryUse& use,
                                   bool torn) {
  const auto& by_class = use.pages.by_class;
  report::MemoryReport report{
      .release = use.release,
      .torn = torn,
      .incomplete = use.incomplete,
      .memory = std::accumulate(by_class.begin(), by_class.end(), std::uint64_t{0}),
      .free_zero = use.pages.free_zero,
      .kept_at_31 = use.kept_pages,
      .excluded_before = use.excluded_before,
      .bin_size = use.bin_size,
      .remarks = use.remarks};
  for (const filters::ClassName& entry : filters::kClassNames) {
    report.classes.push_back(
        {std::string(entry.name), std::string(entry.title), pages_of(use.pages, entry)});
  }
  for (const convert::MemoryBin& bin : use.bins) {
    report.bins.push_back(bin_use(bin));
  }
  report.ram = report::listed_ranges(ram_ranges(*image.memory).ranges(), report.remarks);
  return report;
}

}  // namespace vmcore::worker
