// SPDX-License-Identifier: GPL-2.0-or-later
// A virtio-serial port of this machine. It needs only the kernel: no udev, no network, no disk.
#pragma once

#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

// Opens the port for a Line. Waits a few seconds until it appears; then Errc::not_found, which
// names the ports that exist.
Result<Fd> open_port(const std::string& name);

}  // namespace vmcore::guest::save
