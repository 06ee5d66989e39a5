// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/job/known_domain.h"

#include "src/acquire/libvirt/setup.h"

namespace vmcore::job {

bool is_known_domain(const acquire::Selection& selection) {
  return acquire::setup_of_domain(selection).has_value();
}

}  // namespace vmcore::job
