// SPDX-License-Identifier: GPL-2.0-or-later
// The vCPUs in the state of devices that ends a migration stream of QEMU.
//
// The sections of the devices have no lengths, but the stream describes them itself: it ends with a
// JSON document that lists each device's fields in order, with names and sizes ("vmdesc", QEMU
// v2.4, 8118f0950fc7, migration/savevm.c). The walk along it is checked against the names, numbers
// and footers between the sections.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "src/base/result.h"
#include "src/image/registers.h"

namespace vmcore::formats {

// In the order of their numbers. Errc::unsupported where the stream does not describe itself.
Result<std::vector<CpuState>> read_stream_cpus(std::span<const std::byte> state);

}  // namespace vmcore::formats
