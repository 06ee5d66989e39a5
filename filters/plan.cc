#include "filters/plan.h"

#include <utility>

#include "filters/census.h"
#include "filters/page_runs.h"
#include "filters/plausibility.h"
#include "src/kernel/memmap.h"

namespace vmcore::filters {
namespace {

constexpr std::uint64_t kPageSize = 4096;
// The least hole that is worth two reads, of what lies before it and behind it.
constexpr std::uint64_t kLeastHole = 64 << 10;

// The whole pages that the range touches.
PfnRange pages_of(PhysRange range) {
  const std::uint64_t first = range.begin.value / kPageSize;
  const std::uint64_t end = (range.end().value + kPageSize - 1) / kPageSize;
  return {{first}, end - first};
}

void add_memory(const PhysicalMemory& memory, Plan& plan) {
  for (PhysAddr address{0}; address.value < kMaxPhysAddr;) {
    const Extent extent = memory.outline(address);
    if (extent.range.end() <= address) {
      break;
    }
    const PfnRange pages = pages_of(extent.range);
    if (extent.presence != Presence::absent) {
      plan.ram.insert(pages);
    }
    if (extent.presence == Presence::data || extent.presence == Presence::zero) {
      plan.kept.insert(pages);
    }
    if (extent.presence == Presence::lost) {
      plan.lost.insert(pages);
    }
    address = extent.range.end();
  }
  erase_all(plan.lost, plan.kept);  // a part of the page is there: it is tried
  plan.excluded_before = plan.ram.count() - plan.kept.count() - plan.lost.count();
}

// The long runs that begin in `among` and are known to be zero.
PageSet find_zeros(const PhysicalMemory& memory, const PageSet& among) {
  PageSet zero;
  const Pfn end = among.end();
  for (PfnRange run = among.next_run({0}, end); run.count != 0;) {
    const PhysAddr address{run.first.value * kPageSize};
    const Extent extent = memory.extent(address);
    if (extent.range.end() <= address) {
      break;
    }
    const PfnRange pages = pages_of(extent.range);
    if (extent.presence == Presence::zero && extent.range.size >= kLeastHole) {
      zero.insert(pages);
    }
    run = among.next_run(pages.end(), end);
  }
  return zero;
}

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

std::string list_ranges(const PageSet& pages) {
  constexpr unsigned kMost = 8;
  std::string text;
  unsigned count = 0;
  for_each_run(pages, [&](PfnRange run) {
    if (count++ < kMost) {
      text += fmt::format("{}{:#x}-{:#x}", text.empty() ? "" : ", ", run.first.value * kPageSize,
                          run.end().value * kPageSize - 1);
    }
  });
  if (count > kMost) {
    text += fmt::format(" and {} more", count - kMost);
  }
  return text;
}

// Applies the census to the plan.
void exclude(Census& census, Doubts doubts, Plan& plan) {
  auto& no_memmap = census.pages[static_cast<std::size_t>(PageClass::no_memmap)];
  for_each_run(plan.ram, [&](PfnRange run) { no_memmap.insert(run); });
  erase_all(no_memmap, census.with_memmap);

  const ClassMask excluded = excluded_classes(plan.level_asked) & ~doubts.distrusted;
  std::uint64_t others = 0;
  for (const ClassName& entry : kClassNames) {
    const auto index = static_cast<std::size_t>(entry.page_class);
    plan.pages_by_class[index] = census.pages[index].count();
    others += plan.pages_by_class[index];
    if ((excluded & mask_of(entry.page_class)) != 0) {
      erase_all(plan.kept, census.pages[index]);
      erase_all(plan.lost, census.pages[index]);
    }
  }
  plan.pages_by_class[static_cast<std::size_t>(PageClass::kernel)] = plan.ram.count() - others;
  plan.remarks.insert(plan.remarks.end(), doubts.remarks.begin(), doubts.remarks.end());
  if (const std::uint64_t unknown = count_common(census.unreadable, plan.kept); unknown != 0) {
    doubts.unreached = ~ClassMask{0};
    plan.remarks.push_back(
        {Errc::unreadable, fmt::format("the struct pages of {} pages are not in the source: these "
                                       "pages are kept, whatever they hold",
                                       unknown)});
  }
  if (no_memmap.end().value != 0) {
    plan.remarks.push_back(
        {Errc::not_found,
         fmt::format("memory without a memmap (device or firmware memory) is {}: {}",
                     (excluded & mask_of(PageClass::no_memmap)) != 0 ? "left out" : "kept",
                     list_ranges(no_memmap))});
  }
  plan.level_reached = level_without(plan.level_asked, doubts.distrusted | doubts.unreached);
  // makedumpfile cuts its bitmaps at the last struct page, and does not find the second one in a
  // file whose bitmaps go on.
  const Pfn memmap_end = census.with_memmap.end();
  if ((excluded & mask_of(PageClass::no_memmap)) != 0 && plan.ram.end() > memmap_end) {
    plan.ram.erase({memmap_end, plan.ram.end() - memmap_end});
  }
}

Result<Census> plan_by_kernel(const kernel::GuestKernel& kernel, const PlanOptions& options,
                              const std::stop_token& stop, Plan& plan) {
  TRY_ASSIGN(const kernel::Memmap memmap, kernel::read_memmap(kernel));
  TRY_ASSIGN(const PageLayout layout, read_page_layout(kernel.info(), memmap.struct_page_size));
  TRY_ASSIGN(Census census, take_census(kernel, memmap, layout, plan.ram, options.threads, stop));
  Doubts doubts = doubts_about(census, kernel, memmap, layout);
  exclude(census, std::move(doubts), plan);
  return census;
}

// Whether an error tells of the guest's kernel, not of the source, which cannot be read on then.
bool is_of_the_kernel(Errc code) {
  return code == Errc::not_found || code == Errc::malformed || code == Errc::unreadable ||
         code == Errc::unsupported || code == Errc::limit;
}

// The plan when nothing is known of the kernel: everything stays that `source_level` left.
void plan_blindly(const Error& reason, unsigned source_level, Plan& plan) {
  plan.level_reached = plan.level_asked & kLevelZero;
  if ((plan.level_asked & ~source_level & ~kLevelZero) != 0) {
    plan.remarks.push_back(
        {reason.code, fmt::format("only zero pages are left out, the dump may hold user data, page "
                                  "cache and freed memory: {}",
                                  reason.message)});
  }
}

void finish(unsigned source_level, Plan& plan) {
  plan.level_reached |= source_level & kMaxLevel;
  plan.kept.index();
}

}  // namespace

Result<Plan> make_plan(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                       unsigned source_level, const PlanOptions& options, std::stop_token stop) {
  Plan plan;
  plan.level_asked = options.level;
  add_memory(memory, plan);
  if (kernel == nullptr) {
    plan_blindly({Errc::not_found, "the guest's kernel was not found"}, source_level, plan);
  } else if (const auto planned = plan_by_kernel(*kernel, options, stop, plan); !planned) {
    if (!is_of_the_kernel(planned.error().code)) {
      return tl::unexpected(planned.error());
    }
    plan_blindly(planned.error(), source_level, plan);
  }
  finish(source_level, plan);
  // Only of what is kept, and only now: a guest that waits has much memory that is not.
  plan.zero = find_zeros(memory, plan.kept);
  return plan;
}

Result<ClassifiedPlan> classify(const PhysicalMemory& memory, const kernel::GuestKernel& kernel,
                                unsigned source_level, const PlanOptions& options,
                                const std::stop_token& stop) {
  ClassifiedPlan classified;
  Plan& plan = classified.plan;
  plan.level_asked = options.level;
  add_memory(memory, plan);
  plan.zero = find_zeros(memory, plan.ram);
  PageSet rest;
  for_each_run(plan.ram, [&](PfnRange run) { rest.insert(run); });
  TRY_ASSIGN(Census census, plan_by_kernel(kernel, options, stop, plan));
  finish(source_level, plan);
  classified.classes = std::move(census.pages);
  for (const PageSet& pages : classified.classes) {
    erase_all(rest, pages);
  }
  classified.classes[static_cast<std::size_t>(PageClass::kernel)] = std::move(rest);
  return classified;
}

}  // namespace vmcore::filters
