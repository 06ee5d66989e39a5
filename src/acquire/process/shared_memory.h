// SPDX-License-Identifier: GPL-2.0-or-later
// How much of a guest's shared memory its host has not allocated yet: QEMU reads all of it for a
// snapshot, and so the host allocates it.
#pragma once

#include <cstdint>

#include "src/acquire/snapshot/monitor.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Bytes. An upper bound: all of the shared memory if the QEMU process is not visible.
Result<std::uint64_t> unallocated_shared_memory(SnapshotMonitor& monitor);

}  // namespace vmcore::acquire
