// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/plan_counts.h"

#include <algorithm>

#include "filters/page_runs.h"
#include "src/image/page.h"

namespace vmcore::filters {
namespace {

std::uint64_t count_common(const PageSet& a, const PageSet& b) {
  std::uint64_t sum = 0;
  for_each_run(a, [&](PfnRange run) {
    for (PfnRange both = b.next_run(run.first, run.end()); both.count != 0;
         both = b.next_run(both.end(), run.end())) {
      sum += both.count;
    }
  });
  return sum;
}

std::uint64_t count_from(const PageSet& pages, Pfn from) {
  std::uint64_t sum = 0;
  const Pfn end = pages.end();
  for (PfnRange run = pages.next_run(from, end); run.count != 0;
       run = pages.next_run(run.end(), end)) {
    sum += run.count;
  }
  return sum;
}

bool leaves_out(ClassMask excluded, PageClass page_class) {
  return (excluded & mask_of(page_class)) != 0;
}

}  // namespace

void RangeList::add(PfnRange range) {
  const bool follows = count_ != 0 && end_ == range.first;
  count_ += follows ? 0 : 1;
  end_ = range.end();
  if (count_ > kMost) {
    return;
  }
  PfnRange& last = first_[count_ - 1];
  last = follows ? PfnRange{last.first, end_ - last.first} : range;
}

std::string RangeList::text() const {
  std::string text;
  for (std::uint64_t i = 0; i < std::min(count_, kMost); ++i) {
    text += fmt::format("{}{:#x}-{:#x}", i == 0 ? "" : ", ", address_of(first_[i].first).value,
                        address_of(first_[i].end()).value - 1);
  }
  if (count_ > kMost) {
    text += fmt::format(" and {} more", count_ - kMost);
  }
  return text;
}

void PlanCounts::add(const PlanWindow& window) {
  const PlannedPages& pages = window.pages;
  const std::uint64_t ram = pages.ram.count();
  if (ram != 0) {
    sum_.ram_end = pages.ram.end();
  }
  sum_.ram_pages += ram;
  sum_.kept_pages += pages.kept.count();
  sum_.lost_pages += pages.lost.count();
  sum_.excluded_before += window.excluded_before;

  std::uint64_t others = 0;
  for (std::size_t i = 0; i < kPageClasses; ++i) {
    const std::uint64_t count = window.census.pages[i].count();
    sum_.pages_by_class[i] += count;
    others += count;
  }
  sum_.pages_by_class[static_cast<std::size_t>(PageClass::kernel)] += ram - others;
  unknown_ += count_common(window.census.unreadable, pages.kept);
  for_each_run(window.census.pages[static_cast<std::size_t>(PageClass::no_memmap)],
               [&](PfnRange run) { without_memmap_.add(run); });
  if (const Pfn end = window.census.with_memmap.end(); end.value != 0) {
    memmap_end_ = end;
    behind_memmap_ = 0;
  }
  behind_memmap_ += count_from(pages.ram, memmap_end_);
}

// makedumpfile cuts its bitmaps at the last struct page, and does not find the second one in a file
// whose bitmaps go on.
Pfn PlanCounts::ram_end(ClassMask excluded) const {
  return leaves_out(excluded, PageClass::no_memmap) ? std::min(sum_.ram_end, memmap_end_)
                                                    : sum_.ram_end;
}

PlanSummary PlanCounts::summary(unsigned level, ClassMask excluded, const Doubts& doubts) const {
  PlanSummary all = sum_;
  all.ram_end = ram_end(excluded);
  all.ram_pages -= all.ram_end < sum_.ram_end ? behind_memmap_ : 0;
  all.remarks = doubts.remarks;
  ClassMask unreached = doubts.distrusted | doubts.unreached;
  if (unknown_ != 0) {
    unreached = ~ClassMask{0};
    all.remarks.push_back(
        {Errc::unreadable, fmt::format("the struct pages of {} pages are not in the source: these "
                                       "pages are kept, whatever they contain",
                                       unknown_)});
  }
  if (!without_memmap_.empty()) {
    all.remarks.push_back(
        {Errc::not_found,
         fmt::format("memory without a memmap (device or firmware memory) is {}: {}",
                     leaves_out(excluded, PageClass::no_memmap) ? "left out" : "kept",
                     without_memmap_.text()),
         Severity::fact});
  }
  all.level_reached = level_without(level, unreached);
  return all;
}

}  // namespace vmcore::filters
