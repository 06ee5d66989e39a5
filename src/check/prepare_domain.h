// SPDX-License-Identifier: GPL-2.0-or-later
// Prepares a domain for a dump after a panic: changes its persistent definition, never the running
// guest.
#pragma once

#include <filesystem>
#include <string>

#include "src/acquire/method.h"
#include "src/base/result.h"

namespace vmcore::check {

struct PreparedDomain {
  std::string guest;
  std::string stop, start;      // commands that do it
  std::string diff;             // of what libvirt shows without passwords; empty: nothing to do
  std::filesystem::path saved;  // the old definition; empty where nothing was changed
  bool running = false;         // it takes effect only when the guest was stopped and started
};

// The old definition is saved in `folder` as NAME.xml.before-vmcorectl, with mode 0600, because it
// contains passwords; Errc::exists if that file exists.
Result<PreparedDomain> prepare_domain(const acquire::Selection& domain,
                                      const std::filesystem::path& folder, bool dry_run);

}  // namespace vmcore::check
