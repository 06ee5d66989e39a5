// SPDX-License-Identifier: GPL-2.0-or-later
#include "filters/planner.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "filters/census.h"
#include "filters/zones.h"
#include "src/image/page.h"
#include "src/kernel/type_numbers.h"

namespace vmcore::filters {
namespace {

// Page frames of a window.
std::uint64_t window_pages(std::uint64_t bytes) {
  const std::uint64_t least =
      bytes > Planner::kAtOnce ? Planner::kAtOnce / kPageSize : std::uint64_t{1} << kMaxOrder;
  const std::uint64_t pages = std::min(bytes, kMaxPhysAddr) / kPageSize;
  return bytes == 0 ? kMaxPhysAddr / kPageSize
                    : std::max(least, (pages + least - 1) / least * least);
}

// Page frames in which freed pages on per-CPU lists are looked for at a time, at least: 128 GiB. A
// set of them takes at most 4 MiB.
constexpr std::uint64_t kListedAtOnce = std::uint64_t{1} << 25;

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
        {reason.code, fmt::format("only zero pages are left out; the dump may contain user data, "
                                  "page cache and freed memory: {}",
                                  reason.message)});
  }
  return all;
}

void add(const PlannedPages& pages, PlannedPages& to) {
  to.ram.insert(pages.ram);
  to.kept.insert(pages.kept);
  to.lost.insert(pages.lost);
}

}  // namespace

Planner::Planner(const PhysicalMemory& memory, const PlanOptions& options, std::uint64_t window,
                 std::stop_token stop)
    : memory_(&memory),
      options_(options),
      stop_(std::move(stop)),
      window_pages_(window_pages(window)),
      next_{{0}, window_pages_} {}

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
    TRY(planner.survey(nullptr));
    planner.summary_ =
        blind_summary(planner.counts_.summary(), *planner.blind_, options.level, source_level);
  }
  planner.summary_.level_asked = options.level;
  planner.summary_.level_reached |= source_level & kMaxLevel;
  return planner;
}

Result<> Planner::survey_by_kernel(const kernel::GuestKernel& kernel) {
  const kernel::TypeNumbers* const types = kernel.types();
  if (const auto both = types != nullptr ? types->contradiction(kernel.info()) : std::nullopt) {
    return fail(Errc::malformed, "{}", *both);
  }
  TRY_ASSIGN(kernel::Memmap memmap, kernel::read_memmap(kernel));
  TRY_ASSIGN(PageLayout layout, read_page_layout(kernel.info(), memmap.struct_page_size));
  if (std::any_of(memmap.runs.begin(), memmap.runs.end(),
                  std::mem_fn(&kernel::MemmapRun::offline))) {
    const auto zones = read_zones(kernel);
    layout.zone_field = zones ? find_zone_field(kernel, *zones, layout) : std::nullopt;
  }
  Evidence evidence = gather_evidence(kernel, memmap);
  for (const Pfn page : options_.in_use) {
    if (memory_->presence(address_of(page)) != Presence::absent) {
      evidence.in_use.push_back({"page that a vCPU uses", page});
    }
  }
  known_ = Knowledge{&kernel, std::move(memmap), layout};
  excluded_ = excluded_classes(options_.level);
  TRY(survey(&evidence));  // as if all classes were believed
  if (const auto page = used_and_left_out(evidence, excluded_)) {
    disproved_ = true;
    return fail(Errc::malformed,
                "a vCPU uses the page at {:#x}, which the struct pages of kernel {} would leave "
                "out: this kernel is not the running one",
                address_of(page->pfn).value, kernel.info().release());
  }
  const Doubts doubts = doubts_about(evidence, kernel, layout);
  if ((excluded_ & doubts.distrusted) != 0) {
    excluded_ &= ~doubts.distrusted;
    TRY(survey(nullptr));
  }
  summary_ = counts_.summary(options_.level, excluded_, doubts);
  remark_on_listed();
  return {};
}

// A vCPU may have stopped while it changed a list.
void Planner::remark_on_listed() {
  if ((excluded_ & mask_of(PageClass::free)) != 0 && listed_.broken_pages != 0) {
    summary_.remarks.push_back(
        {Errc::malformed,
         fmt::format("about {} freed pages are kept: the per-CPU lists that they are on disagree "
                     "with their count",
                     listed_.broken_pages),
         Severity::fact});
  }
}

// Counts what is kept where the classes of excluded_ are not. `evidence` may be null.
Result<> Planner::survey(Evidence* evidence) {
  counts_ = {};
  held_.reset();
  const std::uint64_t pages = std::min(next_.count, kAtOnce / kPageSize);
  for (PfnRange part{next_.first, pages}; part.count != 0;
       part = filters::next_window(*memory_, part.end(), pages)) {
    const bool in_next = part.first < next_.end();
    if (held_ && in_next) {
      held_->census = {};
    } else {
      held_.reset();
    }
    TRY_ASSIGN(PlanWindow window, look_at(part));
    if (evidence != nullptr) {
      evidence->add(window.census);
    }
    if (known_) {
      exclude(excluded_, window);
    }
    counts_.add(window);
    if (held_) {
      add(window.pages, held_->pages);
    } else if (in_next) {
      held_ = std::move(window);
    }
  }
  return {};
}

void Planner::find_listed(PfnRange range) {
  if (options_.torn || (listed_in_.first <= range.first && range.end() <= listed_in_.end())) {
    return;
  }
  listed_in_ = {range.first, std::max(window_pages_, kListedAtOnce)};
  auto found =
      read_listed_pages(*known_->kernel, known_->memmap, known_->layout, listed_in_, stop_);
  listed_ = found ? *std::move(found) : ListedPages();
}

Result<PlanWindow> Planner::look_at(PfnRange range) {
  PlanWindow window = outline(*memory_, range);
  if (known_) {
    find_listed(range);
    TRY_ASSIGN(
        window.census,
        take_census(
            *known_->kernel, known_->memmap, known_->layout, window.pages.ram, listed_.pages,
            {.threads = options_.threads, .poison_in_blocks = !options_.without_poison}, stop_));
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
  TRY_ASSIGN(Planner planner,
             Planner::make(memory, &kernel, source_level, options, Planner::kAtOnce, stop));
  if (planner.blind()) {
    return tl::unexpected(*planner.blind());
  }
  ClassifiedPlan classified{{planner.summary(), {}}, {}};
  PageSet& rest = classified.classes[static_cast<std::size_t>(PageClass::kernel)];
  while (!planner.done()) {
    TRY_ASSIGN(const PlanWindow window, planner.next_window());
    add(window.pages, classified.plan);
    rest.insert(window.pages.ram);
    for (std::size_t i = 0; i < kPageClasses; ++i) {
      classified.classes[i].insert(window.census.pages[i]);
      rest.erase(window.census.pages[i]);
    }
  }
  classified.plan.zero = find_zeros(memory, classified.plan.ram);
  return classified;
}

}  // namespace vmcore::filters
