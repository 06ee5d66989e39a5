// What a worker gives up before it reads its first byte.
#pragma once

#include "src/base/result.h"

namespace vmcore::sandbox {

// For good: being root, every capability, gaining privileges (no_new_privs), every path (Landlock,
// where the kernel has it), core files and being traced by other processes of the user (guest
// memory would be in them), more than a few descriptors. What it may do is what its descriptors
// allow. Call it first in main, before there are threads.
Result<> confine();

}  // namespace vmcore::sandbox
