// SPDX-License-Identifier: GPL-2.0-or-later
// SelfCheck: who has opened a dump after it was written.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace vmcore::report {

// One program that was to open it.
struct OpenedBy {
  std::string with = {};  // "vmcorectl 1.0", "crash 8.0.6", "drgn"
  // "done"; "failed"; "time limit"; "not tried": it is not installed, has no vmlinux, cannot be
  // confined, or is too old for the kernel.
  std::string outcome = {};
  std::string why = {};  // guest, too; why it is not done, or what is to be known of it
  std::uint64_t milliseconds = 0;
};

struct SelfCheck {
  std::vector<OpenedBy> programs = {};  // our own reader first

  // Nobody who tried has failed.
  bool passed() const;
};

}  // namespace vmcore::report
