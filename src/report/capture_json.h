// SPDX-License-Identifier: GPL-2.0-or-later
// The JSON of a Capture in reports. Values that are not known are left out.
#pragma once

#include "src/image/capture.h"
#include "src/report/json.h"

namespace vmcore::report {

// Adds the members.
void add_identity(Json& json, const GuestIdentity& guest);
void add_cost(Json& json, const CaptureCost& cost);

// Throw a Misfit.
GuestIdentity identity_from(const Members& json);
CaptureCost cost_from(const Members& json);

// Without its cost.
Json capture_json(const Capture& capture);
Capture capture_from(const Members& json);

}  // namespace vmcore::report
