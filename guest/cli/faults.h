// SPDX-License-Identifier: GPL-2.0-or-later
// The faults by which `vmcore-guest test` crashes a guest.
#pragma once

#include <string>
#include <vector>

#include "guest/root/root.h"
#include "src/base/result.h"

namespace vmcore::guest::cli {

// The values of --by: sysrq (the default), and faults that lkdtm causes.
std::vector<std::string> fault_names();

struct Trigger {
  std::string file;  // to write to
  std::string word;  // to write
  std::string note;  // for the user; may be empty
};

// Makes ready for the fault, so that writing the word causes it. Errc::unsupported if this kernel
// has no lkdtm (drivers/misc/lkdtm, CONFIG_LKDTM) or lkdtm lacks the fault. Errc::guest_state if
// the fault would not cause a panic here; the message names the option of setup that changes that.
Result<Trigger> ready_fault(const root::Root& root, const std::string& name);

}  // namespace vmcore::guest::cli
