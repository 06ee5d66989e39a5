// Exit codes: a contract with scripts (man page, EXIT STATUS).
#pragma once

namespace vmcore::cli {

enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,         // nothing was kept
  kExitUsage = 2,          // the command line makes no sense
  kExitNotAsAsked = 3,     // kept, but incomplete, or less was left out than asked
  kExitGuestChanged = 4,   // the guest is not in the state it was found in; outranks all others
  kExitInterrupted = 130,  // the guest runs as before, nothing was kept
};

}  // namespace vmcore::cli
