// SPDX-License-Identifier: GPL-2.0-or-later
// A TriageReport as one HTML page for people.
#pragma once

#include <string>

#include "src/base/result.h"
#include "src/report/triage.h"

namespace vmcore::show {

struct PageTitle {
  std::string name;  // of the guest or the file: any bytes
  std::string made;  // when
};

// A whole HTML document. It loads nothing: no fonts, images, styles or scripts from elsewhere, and
// its policy (Content-Security-Policy) forbids the browser to load any. Its one script filters the
// log; without scripts all of the page can be read. What the guest wrote is text and nothing else.
//
// `picture` is draw_memory()'s document, or the reason why there is none.
std::string triage_page(const report::TriageReport& report, const PageTitle& title,
                        const Result<std::string>& picture);

}  // namespace vmcore::show
