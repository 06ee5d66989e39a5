// SPDX-License-Identifier: GPL-2.0-or-later
// Makes the plan of setup from the state of a root.
#pragma once

#include <string>
#include <vector>

#include "guest/setup/record.h"

namespace vmcore::guest::setup {

struct SetupOptions {
  std::string crashkernel{};  // empty: the existing reservation, else the need of the kernel
  std::string slot{};  // "beside" or "replace" another kdump; empty: the choice of the record
  std::vector<std::string> panic_on{};  // names of kPanicTriggers
  bool notify_host = false;             // crash_kexec_post_notifiers
  bool lock = false;                    // lock the slot after the load
  bool pstore = false;                  // add_pstore
  bool early = false;                   // add_early_hooks
  bool force = false;
};

// The values of --panic-on.
std::vector<std::string> panic_triggers();

// Errc::denied on a system that others declare (declared.h). Errc::busy if another kdump service is
// enabled and `slot` is empty. Errc::denied if changing the command line has a cost (sealed.h) and
// `force` is not set.
Result<Plan> make_plan(const root::Root& root, const Record& earlier, SetupOptions& options);

}  // namespace vmcore::guest::setup
