// SPDX-License-Identifier: GPL-2.0-or-later
// A SelfCheck as the member "self_check" of documents.
#pragma once

#include "src/report/json.h"
#include "src/report/self_check.h"

namespace vmcore::report {

// {"passed": true, "programs": [...]}
Json self_check_json(const SelfCheck& check);
// Throws a Misfit.
SelfCheck self_check_from(const Members& json);

}  // namespace vmcore::report
