// SPDX-License-Identifier: GPL-2.0-or-later
// Signature as a member of documents.
#pragma once

#include "src/report/crash_signature.h"
#include "src/report/json.h"

namespace vmcore::report {

// Null for none.
Json signature_json(const Signature& signature);
// That of the member "signature"; none where the member is null or missing.
Signature signature_from(const Members& json);

}  // namespace vmcore::report
