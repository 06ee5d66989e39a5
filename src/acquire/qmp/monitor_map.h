// SPDX-License-Identifier: GPL-2.0-or-later
// The place of a guest's memory in its QEMU, from QEMU's monitor: the guest's own, or a domain's
// through libvirt.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "qmp/message.h"
#include "src/acquire/process/guest_process.h"
#include "src/base/address.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Runs one command of the monitor, as qmp::Client::execute() does.
using Execute =
    std::function<Result<qmp::Json>(const std::string& command, const qmp::Json& arguments)>;

// A block of RAM (a PT_LOAD of QEMU's dump) is contiguous in QEMU; its end is checked all the same.
// Errc::unsupported if it is not, or if QEMU does not tell.
Result<RamBlock> find_block(const Execute& execute, PhysRange range);

// The RAM of a PC by QEMU's own map, with its DIMMs, and without the memory of devices and the
// range between 640 KiB and 1 MiB. Errc::unsupported if the map does not show exactly as much main
// memory as QEMU reports.
Result<std::vector<RamBlock>> find_ram(const Execute& execute);

// All RAM and ROM that the guest sees, by QEMU's own map, as far as QEMU tells where it lies.
Result<std::vector<RamBlock>> find_all_ram(const Execute& execute);

// The contents that QEMU has at a guest-physical address: words of 8 bytes.
Result<> peek_words(const Execute& execute, PhysAddr address, std::span<std::byte> bytes);

// The parts of known blocks that make up the ranges. Errc::unsupported where one is not covered.
Result<std::vector<RamBlock>> within(std::span<const PhysRange> ranges,
                                     std::span<const RamBlock> known);

}  // namespace vmcore::acquire
