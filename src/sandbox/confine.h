// SPDX-License-Identifier: GPL-2.0-or-later
// The rights that a worker gives up before it reads its first byte.
#pragma once

#include "src/base/result.h"

namespace vmcore::sandbox {

// Gives up for good: root, every capability, gaining privileges (no_new_privs), every path
// (Landlock, if the kernel has it), core files and being traced by other processes of the user
// (both would contain guest memory), and all but a few descriptors. What remains is what its
// descriptors allow. Call it first in main, before there are threads.
Result<> confine();

}  // namespace vmcore::sandbox
