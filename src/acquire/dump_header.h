// SPDX-License-Identifier: GPL-2.0-or-later
// The beginning of a dump that QEMU writes into a pipe: headers and notes, before its memory.
#pragma once

#include <cstddef>

#include "src/base/fd.h"
#include "src/base/result.h"
#include "src/lease/holder.h"

namespace vmcore::acquire {

// Reads no further than necessary, because QEMU pauses the guest meanwhile. A copy in memory.
Result<Fd> read_dump_header(int pipe);

// Of a lease of a running guest that lasts until its header is read here: at most ten seconds.
lease::Terms header_terms();

}  // namespace vmcore::acquire
