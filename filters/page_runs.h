// SPDX-License-Identifier: GPL-2.0-or-later
// Walking the runs of a PageSet.
#pragma once

#include "src/image/page_set.h"

namespace vmcore::filters {

// Calls each(run) for the longest runs of members, ascending.
template <class Each>
void for_each_run(const PageSet& set, Each each) {
  const Pfn end = set.end();
  for (Pfn pfn{0}; pfn < end;) {
    const PfnRange run = set.next_run(pfn, end);
    if (run.count == 0) {
      return;
    }
    each(run);
    pfn = run.end();
  }
}

}  // namespace vmcore::filters
