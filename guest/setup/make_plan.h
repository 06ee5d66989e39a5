// What setup changes, from what is found in a root.
#pragma once

#include <string>
#include <vector>

#include "guest/setup/record.h"

namespace vmcore::guest::setup {

struct SetupOptions {
  std::string
      crashkernel{};   // empty: what is reserved already, else what this guest's kernel needs
  std::string slot{};  // "beside" or "replace" where another fills it; empty: as it was settled
  std::vector<std::string> panic_on{};  // names of kPanicTriggers
  bool notify_host = false;             // crash_kexec_post_notifiers
  bool force = false;
};

// What --panic-on takes.
std::vector<std::string> panic_triggers();

// Errc::busy where another fills the slot, Errc::denied where a changed command line costs
// something and `force` is not set.
Result<Plan> make_plan(const root::Root& root, const Record& earlier, SetupOptions& options);

}  // namespace vmcore::guest::setup
