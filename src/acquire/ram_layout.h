// Where a PC's RAM lies in its QEMU, told by the sizes of QEMU's mappings alone: for guests whose
// monitor belongs to somebody else.
#pragma once

#include <span>
#include <vector>

#include "src/acquire/guest_process.h"
#include "src/acquire/process_maps.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Places the blocks (the PT_LOADs of QEMU's dump) that can be told: the main memory, which begins
// at 0 and goes on at 4 GiB where it does not fit below the PCI hole, is one mapping of just that
// size (QEMU hw/i386/pc.c, pc_memory_init, v2.0 to v10.0); DIMMs above it each are one of theirs.
// Left out are the blocks between 640 KiB and 1 MiB, which may be ROM or RAM, and those of devices
// and firmware. Errc::unsupported where no mapping or several have the size.
Result<std::vector<RamBlock>> place_by_size(std::span<const PhysRange> blocks,
                                            std::span<const Mapping> mappings);

}  // namespace vmcore::acquire
