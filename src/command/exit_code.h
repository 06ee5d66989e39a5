// SPDX-License-Identifier: GPL-2.0-or-later
// Exit codes: a contract with scripts (man pages, EXIT STATUS).
#pragma once

#include <algorithm>
#include <array>

namespace vmcore {

enum ExitCode : int {
  kExitDone = 0,
  kExitFailed = 1,         // nothing was kept or changed
  kExitUsage = 2,          // the command line makes no sense
  kExitNotAsAsked = 3,     // done, but not all of it; what is missing was said
  kExitGuestChanged = 4,   // the guest is not in the state it was found in; outranks all others
  kExitInterrupted = 130,  // the guest runs as before, nothing was kept
};

// What two parts of one run come to.
inline int worse_exit(int one, int other) {
  constexpr std::array kWorstFirst{int{kExitInterrupted}, int{kExitGuestChanged}, int{kExitFailed},
                                   int{kExitUsage},       int{kExitNotAsAsked},   int{kExitDone}};
  const auto rank = [&](int code) { return std::ranges::find(kWorstFirst, code); };
  return rank(one) <= rank(other) ? one : other;
}

}  // namespace vmcore
