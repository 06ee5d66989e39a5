// SPDX-License-Identifier: GPL-2.0-or-later
// Exit codes: a contract with scripts (man pages, EXIT STATUS).
#pragma once

namespace vmcore {

enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,         // nothing was kept or changed
  kExitUsage = 2,          // the command line makes no sense
  kExitNotAsAsked = 3,     // done, but not all of it; what is missing was said
  kExitGuestChanged = 4,   // the guest is not in the state it was found in; outranks all others
  kExitInterrupted = 130,  // the guest runs as before, nothing was kept
};

}  // namespace vmcore
