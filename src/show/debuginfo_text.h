// SPDX-License-Identifier: GPL-2.0-or-later
// What was found of the debug information of a kernel, and how to get the rest, for people.
#pragma once

#include <string>

#include "src/report/debuginfo.h"

namespace vmcore::show {

std::string debuginfo_text(const report::DebuginfoReport& report);

// One line: "install linux-image-6.1.0-57-amd64-dbg (Debian)".
std::string advice_line(const report::PackageAdvice& advice);

}  // namespace vmcore::show
