// SPDX-License-Identifier: GPL-2.0-or-later
// The QEMU process behind a monitor's socket.
#pragma once

#include "src/acquire/process/guest_process.h"
#include "src/acquire/qmp/monitor_map.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// The process that listens at the other end of `socket`: the peer of the connection, which is QEMU
// unless another program made the socket for it. It is opened first and judged then, so that the
// process that is read later is the one that was judged. Errc::unsupported if it does not run the
// guest of that monitor; Errc::denied if this user may not read it, or may not read it for the
// owner of the socket (process/identity.h).
Result<GuestProcess> open_monitor_process(int socket, const Execute& execute);

}  // namespace vmcore::acquire
