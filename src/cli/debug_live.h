// SPDX-License-Identifier: GPL-2.0-or-later
// `debug --live`: drgn on the memory of a guest that is not paused.
#pragma once

#include <string>
#include <vector>

#include "src/cli/debuginfo_options.h"
#include "src/cli/guest_options.h"
#include "src/cli/verb.h"

namespace vmcore::cli {

// Runs drgn until it ends: a prompt or, where there are `words`, the script that the first one
// names, with the others as its arguments. Root's drgn is confined. Returns the exit code.
//
// drgn gets an ELF file of headers alone, with the guest's VMCOREINFO, and a line by which this
// process reads memory for it (job/live_memory.h). No version of drgn is needed that can be told of
// a kernel in another way (Program.set_linux_kernel_custom() of 2026).
int debug_live(const GuestOptions& guest, const DebuginfoOptions& debuginfo,
               std::vector<std::string> words, const Common& common);

}  // namespace vmcore::cli
