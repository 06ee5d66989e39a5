// Where the memory of a guest lies in its QEMU, asked of QEMU's monitor: of a guest's own, or of a
// domain's through libvirt.
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

// A block of RAM (a PT_LOAD of QEMU's dump) lies in one piece in QEMU; its end is asked for all the
// same. Errc::unsupported where that is not so, or QEMU does not tell.
Result<RamBlock> find_block(const Execute& execute, PhysRange range);

// The RAM of a PC, with its DIMMs and without the memory of devices and what lies between 640 KiB
// and 1 MiB, by QEMU's own map. Errc::unsupported where that does not show just as much main memory
// as QEMU says that there is.
Result<std::vector<RamBlock>> find_ram(const Execute& execute);

// All RAM and ROM that the guest sees, by QEMU's own map, as far as QEMU tells where it lies.
Result<std::vector<RamBlock>> find_all_ram(const Execute& execute);

// What QEMU has at a guest-physical address: words of 8 bytes.
Result<> peek_words(const Execute& execute, PhysAddr address, std::span<std::byte> bytes);

// The parts of known blocks that make up the ranges. Errc::unsupported where one is not covered.
Result<std::vector<RamBlock>> within(std::span<const PhysRange> ranges,
                                     std::span<const RamBlock> known);

}  // namespace vmcore::acquire
