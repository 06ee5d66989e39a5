// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/budget.h"

#include <algorithm>
#include <thread>

#include "src/job/available_memory.h"

namespace vmcore::job {

Budget whole_budget() {
  return {.memory = available_memory() / 4,
          .threads = std::max(1U, std::thread::hardware_concurrency())};
}

}  // namespace vmcore::job
