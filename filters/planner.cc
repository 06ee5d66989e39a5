#include "filters/planner.h"

#include <algorithm>
#include <utility>

#include "filters/census.h"
#include "filters/page_runs.h"

namespace vmcore::filters {
namespace {

constexpr std::uint64_t kPageSize = 4096;

// Page frames of a window.
std::uint64_t window_pages(std::uint64_t bytes) {
  constexpr std::uint64_t kLeast = std::uint64_t{1} << kMaxOrder;
  const std::uint64_t pages = std::min(bytes, kMaxPhysAddr) / kPageSize;
  return bytes == 0 ? kMaxPhysAddr / kPageSize
                    : std::max(kLeast, (pages + kLeast - 1) / kLeast * kLeast);
}

// Whether an error tells of the guest's kernel, not of the source, which cannot be read on then.
bool is_of_the_kernel(Errc code) {
  return code == Errc::not_found || code == Errc::malformed || code == Errc::unreadable ||
         code == Errc::unsupported || code == Errc::limit;
}

// When nothing is known of the kernel, everything stays that `source_level` left.
PlanSummary blind_summary(PlanSummary all, const Error& reason, unsigned level,
                          unsigned source_level) {
  all.pages_by_class = {};
  all.level_reached = level & kLevelZero;
  if ((level & ~source_level & ~kLevelZero) != 0) {
    all.remarks.push_back(
        {reason.code, fmt::format("only zero pages are left out, the dump may hold user data, page "
                                  "cache and freed memory: {}",
                                  reason.message)});
  }
  return all;
}

}  // namespace

Planner::Planner(const PhysicalMemory& memory, const PlanOptions& options, std::uint64_t window,
                 std::stop_token stop)
    : memory_(&memory),
      options_(options),
      stop_(std::move(stop)),
      next_{{0}, window_pages(window)} {}

Result<Planner> Planner::make(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                              unsigned source_level, const PlanOptions& options,
                              std::uint64_t window, std::stop_token stop) {
  Planner planner(memory, options, window, std::move(stop));
  if (kernel == nullptr) {
    planner.blind_ = Error{Errc::not_found, "the guest's kernel was not found"};
  } else if (const auto surveyed = planner.survey_by_kernel(*kernel); !surveyed) {
    if (!is_of_the_kernel(surveyed.error().code)) {
      return tl::unexpected(surveyed.error());
    }
    planner.blind_ = surveyed.error();
    planner.known_.reset();
    planner.held_.reset();
    planner.excluded_ = 0;
  }
  if (planner.blind_) {
    TRY(planner.count_windows(nullptr));
    planner.summary_ =
        blind_summary(planner.counts_.summary(), *planner.blind_, options.level, source_level);
  }
  planner.summary_.level_asked = options.level;
  planner.summary_.level_reached |= source_level & kMaxLevel;
  return planner;
}

Result<> Planner::survey_by_kernel(const kernel::GuestKernel& kernel) {
  TRY_ASSIGN(kernel::Memmap memmap, kernel::read_memmap(kernel));
  TRY_ASSIGN(const PageLayout layout, read_page_layout(kernel.info(), memmap.struct_page_size));
  Evidence evidence = gather_evidence(kernel, memmap);
  known_ = Knowledge{&kernel, std::move(memmap), layout};
  excluded_ = excluded_classes(options_.level);
  if (whole()) {
    TRY_ASSIGN(held_, look_at(next_));
    evidence.add(held_->census);
  } else {
    TRY(count_windows(&evidence));  // as if all classes were believed
  }
  const Doubts doubts = doubts_about(evidence, kernel, layout);
  const bool believed = (excluded_ & doubts.distrusted) == 0;
  excluded_ &= ~doubts.distrusted;
  if (whole()) {
    exclude(excluded_, *held_);
    counts_.add(*held_);
  } else if (!believed) {
    TRY(count_windows(nullptr));
  }
  summary_ = counts_.summary(options_.level, excluded_, doubts);
  return {};
}

// Counts what is kept where the classes of excluded_ are not. `evidence` may be null.
Result<> Planner::count_windows(Evidence* evidence) {
  counts_ = {};
  for (PfnRange range = next_; range.count != 0;
       range = filters::next_window(*memory_, range.end(), range.count)) {
    TRY_ASSIGN(PlanWindow window, look_at(range));
    if (evidence != nullptr) {
      evidence->add(window.census);
    }
    if (known_) {
      exclude(excluded_, window);
    }
    counts_.add(window);
    if (whole()) {
      held_ = std::move(window);
    }
  }
  return {};
}

Result<PlanWindow> Planner::look_at(PfnRange range) const {
  PlanWindow window = outline(*memory_, range);
  if (known_) {
    TRY_ASSIGN(window.census, take_census(*known_->kernel, known_->memmap, known_->layout,
                                          window.pages.ram, options_.threads, stop_));
  }
  return window;
}

Result<PlanWindow> Planner::next_window() {
  if (!held_) {
    TRY_ASSIGN(held_, look_at(next_));
    if (known_) {
      exclude(excluded_, *held_);
    }
  }
  PlanWindow window = *std::exchange(held_, std::nullopt);
  PageSet& ram = window.pages.ram;
  if (const Pfn end = counts_.ram_end(excluded_); ram.end() > end) {
    ram.erase({end, ram.end() - end});
  }
  window.pages.kept.index();
  next_ = filters::next_window(*memory_, next_.end(), next_.count);
  return window;
}

Result<PlannedPages> Planner::next() {
  TRY_ASSIGN(PlanWindow window, next_window());
  window.census = {};
  // Only of what is kept, and only now: a guest that waits has much memory that is not.
  window.pages.zero = find_zeros(*memory_, window.pages.kept);
  return std::move(window.pages);
}

Result<Plan> make_plan(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                       unsigned source_level, const PlanOptions& options, std::stop_token stop) {
  TRY_ASSIGN(Planner planner,
             Planner::make(memory, kernel, source_level, options, 0, std::move(stop)));
  TRY_ASSIGN(PlannedPages pages, planner.next());
  return Plan{planner.summary(), std::move(pages)};
}

Result<ClassifiedPlan> classify(const PhysicalMemory& memory, const kernel::GuestKernel& kernel,
                                unsigned source_level, const PlanOptions& options,
                                const std::stop_token& stop) {
  TRY_ASSIGN(Planner planner, Planner::make(memory, &kernel, source_level, options, 0, stop));
  if (planner.blind()) {
    return tl::unexpected(*planner.blind());
  }
  TRY_ASSIGN(PlanWindow window, planner.next_window());
  PageSet rest;
  for_each_run(window.pages.ram, [&](PfnRange run) { rest.insert(run); });
  for (const PageSet& pages : window.census.pages) {
    erase_all(rest, pages);
  }
  window.pages.zero = find_zeros(memory, window.pages.ram);
  ClassifiedPlan classified{{planner.summary(), std::move(window.pages)},
                            std::move(window.census.pages)};
  classified.classes[static_cast<std::size_t>(PageClass::kernel)] = std::move(rest);
  return classified;
}

}  // namespace vmcore::filters
