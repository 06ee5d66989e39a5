// What can be seen of a guest without stopping it.
#pragma once

#include "src/acquire/guest.h"
#include "src/base/result.h"

namespace vmcore::job {

// Where its RAM lies, and the registers of its vCPUs where these can be had, by a monitor command
// to a libvirt domain too where that is allowed.
Result<ImageSource> look_live(acquire::Guest& guest);

}  // namespace vmcore::job
