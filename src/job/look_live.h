// SPDX-License-Identifier: GPL-2.0-or-later
// What can be read of a guest without pausing it.
#pragma once

#include "src/acquire/guest.h"
#include "src/base/result.h"

namespace vmcore::job {

// The place of its RAM, and the registers of its vCPUs if they can be read (with a monitor command
// to a libvirt domain only if that is allowed).
Result<ImageSource> look_live(acquire::Guest& guest);

}  // namespace vmcore::job
