// SPDX-License-Identifier: GPL-2.0-or-later
// The place of a libvirt domain's RAM in its QEMU, from the domain's definition and from QEMU's
// mappings: for guests whose monitor belongs to libvirt. The definition tells where the guest sees
// its memory, and the sizes of mappings tell which can hold it; QEMU confirms which one does
// (challenge.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/acquire/process/guest_process.h"
#include "src/acquire/process/maps.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// The memory of a domain by its definition. Sizes are in bytes.
struct MemoryDefinition {
  std::string machine = {};                    // QEMU's name: "pc-q35-7.2"
  std::uint64_t main = 0;                      // without what is plugged in
  std::vector<std::uint64_t> nodes = {};       // of NUMA, which make up `main`; none without NUMA
  std::vector<PhysRange> plugged = {};         // DIMMs, and virtio-mem
  std::optional<std::uint64_t> most_low = {};  // QEMU's max-ram-below-4g
};

// A part of a mapping: how far behind its beginning it lies.
struct Stretch {
  PhysRange range;
  std::uint64_t offset = 0;
  bool operator==(const Stretch&) const = default;
};

// The memory that QEMU has in one mapping: a NUMA node's, or all, or a DIMM.
struct RamUnit {
  std::vector<Stretch> stretches;  // sorted
  std::uint64_t size = 0;          // of the mapping
};

// Without the part between 640 KiB and 1 MiB, which may be ROM or RAM. The main memory begins at 0
// and goes on at 4 GiB where it does not fit below the PCI hole; where that begins is a matter of
// the machine (QEMU hw/i386/pc_q35.c, pc_piix.c and microvm.c, v2.0 to v10.0; isapc has no
// gigabyte_align). Errc::unsupported for other machines.
Result<std::vector<RamUnit>> ram_units(const MemoryDefinition& memory);

// Which of the addresses of mappings hold the unit, as indices.
using WhichFit = std::function<Result<std::vector<std::size_t>>(
    const RamUnit& unit, std::span<const std::uint64_t> addresses)>;

// The mapping of each unit, chosen from those of its size. `which_fit` gets all candidates; if it
// cannot decide, a mapping is used that is the only one of its size. Errc::unsupported unless
// exactly one assignment fits.
Result<std::vector<RamBlock>> place_units(std::span<const RamUnit> units,
                                          std::span<const Mapping> mappings,
                                          const WhichFit& which_fit);

// The parts of a dump's blocks (PT_LOADs) that lie in known RAM. Parts that are left out lie below
// 4 GiB and are memory of devices and firmware; above 4 GiB, an unknown block is taken from the
// only mapping of its size. Errc::unsupported if there is none or several, and if the dump's main
// memory differs from what is known.
Result<std::vector<RamBlock>> known_parts(std::span<const PhysRange> blocks,
                                          std::span<const RamBlock> known,
                                          std::span<const Mapping> mappings);

// The part of a stretch of RAM that the guest sees as it is: with SMM, TSEG may hide the end of low
// memory.
PhysRange without_tseg(const PhysRange& range);

}  // namespace vmcore::acquire
