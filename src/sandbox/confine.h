// What a worker gives up before it reads its first byte.
#pragma once

#include "src/base/result.h"

namespace vmcore::sandbox {

// For good, and for every thread: gaining privileges (no_new_privs), core files and being traced by
// other processes of the user (guest memory would be in them), more than a few descriptors.
// Call it first in main.
Result<> confine();

}  // namespace vmcore::sandbox
