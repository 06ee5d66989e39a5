// SPDX-License-Identifier: GPL-2.0-or-later
// A CrashSignature as the member "signature" of documents.
#pragma once

#include "src/report/json.h"
#include "src/report/signature.h"

namespace vmcore::report {

// Null if nothing is known.
Json signature_json(const CrashSignature& signature);
// Empty if `owner` has none, or null. Throws a Misfit.
CrashSignature signature_of(const Members& owner);

}  // namespace vmcore::report
