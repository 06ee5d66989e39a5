// SPDX-License-Identifier: GPL-2.0-or-later
// Budget: what one job may use of the host, beside the buffers that every job needs. Whoever runs
// several jobs divides the host among them.
#pragma once

#include <cstdint>

namespace vmcore::job {

struct Budget {
  // Bytes of guest memory that may be copied before compression, so that the guest need not wait
  // for it. No more is taken than is kept.
  std::uint64_t memory = 0;
  unsigned threads = 1;
};

// Of a job that has the host for itself: at most a quarter of the available memory, and all
// processors.
Budget whole_budget();

}  // namespace vmcore::job
