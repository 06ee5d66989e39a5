// SPDX-License-Identifier: GPL-2.0-or-later
// Which package has the debug information of a distribution's kernel, and how to get it.
//
// To add a distribution: a row in kDistributions, a banner in tests/unit/debuginfo.
#pragma once

#include "src/debuginfo/kernel.h"
#include "src/report/debuginfo.h"

namespace vmcore::debuginfo {

// By the banner and, where that is not known, by the release.
report::PackageAdvice advise(const WantedKernel& kernel);

// Whether a file name is one of a package that may have debug information of the release.
bool is_package_of(std::string_view file_name, std::string_view release);
// .deb, .ddeb, .rpm: a package, which is of one kernel.
bool is_package(std::string_view file_name);

}  // namespace vmcore::debuginfo
