// Where a PC's RAM lies in its QEMU, told by the sizes of QEMU's mappings alone: for guests whose
// monitor belongs to somebody else.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
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

// Where the main memory of a PC of that many bytes lies, without the part between 640 KiB and 1
// MiB. `machine` is QEMU's name ("pc-q35-7.2", with or without "-machine"). Errc::unsupported for
// other machines. Source: QEMU hw/i386/pc_q35.c and pc_piix.c, pc_q35_init and pc_init1, v2.0 to
// v10.0, without max-ram-below-4g.
Result<std::vector<PhysRange>> pc_memory(std::string_view machine, std::uint64_t size);

}  // namespace vmcore::acquire
