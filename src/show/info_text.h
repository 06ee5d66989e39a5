// SPDX-License-Identifier: GPL-2.0-or-later
// What a dump or a guest's memory is, as text for people.
#pragma once

#include <string>

#include "src/report/info.h"

namespace vmcore::show {

std::string info_text(const report::InfoReport& info);

// Who says that the guest crashed; `crash` is Capture::crash (image/capture.h).
std::string who_says_so(const std::string& crash);

}  // namespace vmcore::show
