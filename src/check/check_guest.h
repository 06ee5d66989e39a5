// SPDX-License-Identifier: GPL-2.0-or-later
// Looking at a guest beforehand: whether, how, and at what price it would be dumped. Nothing is
// changed, it is not paused, and no monitor command goes behind libvirt's back.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/acquire/method.h"
#include "src/base/result.h"
#include "src/report/check.h"

namespace vmcore::check {

// `folder` is where its dump would go. A guest that cannot be found is a finding that failed, and
// so is one that does not run, unless it may be off.
report::CheckReport check_guest(const acquire::Selection& guest,
                                const std::filesystem::path& folder, bool may_be_off = false);

// All domains by name, as they are selected for check_guest().
Result<std::vector<acquire::Selection>> all_guests(const std::string& libvirt_uri);

}  // namespace vmcore::check
