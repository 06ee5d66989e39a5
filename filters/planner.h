// Planner: plans a guest's memory window by window, so that no more of the plan than a window is
// held. All of the memory is looked at once before the first window, because whether a class is
// believed hangs on all of its pages, and headers tell how many are kept; each window once more
// when its turn comes. Where the window is all of the memory, what was looked at is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "filters/page_layout.h"
#include "filters/plan.h"
#include "filters/plan_counts.h"
#include "filters/plan_window.h"
#include "filters/plausibility.h"
#include "src/base/result.h"
#include "src/image/memory.h"
#include "src/kernel/guest_kernel.h"
#include "src/kernel/memmap.h"

namespace vmcore::filters {

class Planner {
 public:
  // Plans as make_plan() does. `window`: bytes, made a multiple of 1 GiB, so that no page decides
  // for one of another window; zero: all of the memory. `memory` and `kernel` are borrowed.
  static Result<Planner> make(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                              unsigned source_level, const PlanOptions& options,
                              std::uint64_t window, std::stop_token stop);

  const PlanSummary& summary() const { return summary_; }
  // Why nothing is known of the memory, where so.
  const std::optional<Error>& blind() const { return blind_; }

  // The windows, ascending, at least one. Those without RAM are passed over. Not when done().
  bool done() const { return next_.count == 0; }
  Result<PlannedPages> next();
  // The same with its census, and without `zero`.
  Result<PlanWindow> next_window();

 private:
  // How struct pages are read.
  struct Knowledge {
    const kernel::GuestKernel* kernel;
    kernel::Memmap memmap;
    PageLayout layout;
  };

  static constexpr std::uint64_t kAllPages = kMaxPhysAddr / 4096;

  Planner(const PhysicalMemory& memory, const PlanOptions& options, std::uint64_t window,
          std::stop_token stop);
  Result<> survey_by_kernel(const kernel::GuestKernel& kernel);
  Result<> count_windows(Evidence* evidence);
  Result<PlanWindow> look_at(PfnRange range) const;
  bool whole() const { return next_.count == kAllPages; }

  const PhysicalMemory* memory_;
  PlanOptions options_;
  std::stop_token stop_;
  std::optional<Error> blind_;
  std::optional<Knowledge> known_;  // unless blind
  ClassMask excluded_ = 0;
  PlanCounts counts_;
  PlanSummary summary_;
  PfnRange next_;
  std::optional<PlanWindow> held_;  // where it is all of the memory
};

}  // namespace vmcore::filters
