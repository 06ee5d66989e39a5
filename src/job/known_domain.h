// SPDX-License-Identifier: GPL-2.0-or-later
// Whether a word names a domain, for words that may name something else.
#pragma once

#include "src/acquire/selection.h"

namespace vmcore::job {

// False where libvirt cannot be asked.
bool is_known_domain(const acquire::Selection& selection);

}  // namespace vmcore::job
