// The QEMU process behind a monitor's socket.
#pragma once

#include "src/acquire/process/guest_process.h"
#include "src/acquire/qmp/monitor_map.h"
#include "src/base/result.h"

namespace vmcore::acquire {

// The process that listens at the other end of `socket`: the peer of the connection, which is QEMU
// unless somebody else made the socket for it. Opened first and judged then, so that what is read
// later is what was judged. Errc::unsupported where it does not run the guest of that monitor;
// Errc::denied where this user may not read it, or may not lend that to whom the socket belongs
// (process_identity.h).
Result<GuestProcess> open_monitor_process(int socket, const Execute& execute);

}  // namespace vmcore::acquire
