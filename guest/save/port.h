// A virtio-serial port of this machine. Nothing but the kernel is needed for it: no udev, no
// network, no disk.
#pragma once

#include <string>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::guest::save {

// Opened for a Line. Waits a little for the port to come; Errc::not_found names those that are
// there.
Result<Fd> open_port(const std::string& name);

}  // namespace vmcore::guest::save
