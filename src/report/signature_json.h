// SPDX-License-Identifier: GPL-2.0-or-later
// A CrashSignature within the JSON document of somebody else.
#pragma once

#include "src/report/json.h"
#include "src/report/signature.h"

namespace vmcore::report {

Json signature_json(const CrashSignature& signature);
// Throws a Misfit.
CrashSignature signature_from(const Members& json);

}  // namespace vmcore::report
