// SPDX-License-Identifier: GPL-2.0-or-later
// QEMU's monitor by way of libvirt, which marks the domain as tainted (custom-monitor) for it.
#pragma once

#include <libvirt/libvirt.h>

#include <string>

#include "qmp/message.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// Runs one command, as qmp::Client::execute() does. `fd`, if any, goes beside it: Errc::unsupported
// with a libvirt that cannot pass it (before 8.2).
Result<qmp::Json> execute_in_domain(virDomain* domain, const std::string& command,
                                    const qmp::Json& arguments, int fd = -1);

// The remark for the user about it.
inline constexpr const char* kTaintRemark =
    "libvirt marks the domain as tainted (custom-monitor) until it is shut down";

}  // namespace vmcore::acquire
