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

// The folder for old definitions of this user, of mode 0700 because they contain passwords:
// /var/backups/vmcorectl of root, else $XDG_STATE_HOME (~/.local/state)/vmcorectl/definitions. It
// is made where it is missing. Errc::denied if others may enter it.
Result<std::filesystem::path> make_backup_folder();

// The old definition is saved as NAME-TIME.xml, with mode 0600; a number is appended where that
// exists. `folder`: where; empty: make_backup_folder().
Result<PreparedDomain> prepare_domain(const acquire::Selection& domain,
                                      const std::filesystem::path& folder, bool dry_run);

}  // namespace vmcore::check
