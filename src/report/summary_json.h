// SPDX-License-Identifier: GPL-2.0-or-later
// A Summary within the JSON document of somebody else: the worker's last message.
#pragma once

#include "src/report/json.h"
#include "src/report/summary.h"

namespace vmcore::report {

Json summary_json(const Summary& summary);
// Throws a Misfit.
Summary summary_from(const Members& json);

}  // namespace vmcore::report
