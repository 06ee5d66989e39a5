// SPDX-License-Identifier: GPL-2.0-or-later
// Planner: plans a guest's memory window by window and holds the plan of one window at a time. It
// looks at all of the memory before the first window: a class can be trusted only after all of its
// pages were seen, and headers tell how many pages are kept. It looks at each window again when
// that is next. Where there is only one window, it holds the result of the first look.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "filters/listed_pages.h"
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
  // Plans as make_plan() does. `window`: bytes, rounded to a multiple of 1 GiB, so that no page
  // decides for a page of another window, and above kAtOnce to a multiple of that; zero: all of the
  // memory. `memory` and `kernel` are borrowed.
  static Result<Planner> make(const PhysicalMemory& memory, const kernel::GuestKernel* kernel,
                              unsigned source_level, const PlanOptions& options,
                              std::uint64_t window, std::stop_token stop);

  const PlanSummary& summary() const { return summary_; }
  // Why nothing is known about the memory, if so.
  const std::optional<Error>& blind() const { return blind_; }
  // The struct pages would leave out pages that vCPUs use: the kernel is not the running one.
  bool disproved() const { return disproved_; }

  // The windows, ascending, at least one. Windows without RAM are skipped. Do not call when done().
  bool done() const { return next_.count == 0; }
  Result<PlannedPages> next();
  // The same with its census, and without `zero`. For windows of at most kAtOnce.
  Result<PlanWindow> next_window();

  // Bytes of memory whose census is held at a time (some 3 MiB), however large a window is.
  static constexpr std::uint64_t kAtOnce = std::uint64_t{16} << 30;

 private:
  // How struct pages are read.
  struct Knowledge {
    const kernel::GuestKernel* kernel;
    kernel::Memmap memmap;
    PageLayout layout;
  };

  Planner(const PhysicalMemory& memory, const PlanOptions& options, std::uint64_t window,
          std::stop_token stop);
  Result<> survey_by_kernel(const kernel::GuestKernel& kernel);
  Result<> survey(Evidence* evidence);
  Result<PlanWindow> look_at(PfnRange range);
  // Finds the freed pages on per-CPU lists from the range on, in all of the next window at least.
  void find_listed(PfnRange range);
  void remark_on_listed();

  const PhysicalMemory* memory_;
  PlanOptions options_;
  std::stop_token stop_;
  std::optional<Error> blind_;
  bool disproved_ = false;
  std::optional<Knowledge> known_;  // unless blind
  std::uint64_t window_pages_;
  ListedPages listed_;
  PfnRange listed_in_;  // where listed_ is known
  ClassMask excluded_ = 0;
  PlanCounts counts_;
  PlanSummary summary_;
  PfnRange next_;
  std::optional<PlanWindow> held_;  // the only window
};

}  // namespace vmcore::filters
