// Connecting to the monitor of a QEMU that runs on this host.
#pragma once

#include <filesystem>

#include "qmp/client.h"

namespace vmcore::qmp {

// Opens the monitor behind a socket. Refused: monitors that libvirt owns (its public API is the
// way), sockets that are no QMP monitor. A monitor that somebody else holds is Errc::busy, with
// who, where that can be seen. Every error names the socket.
Result<Client> connect(const std::filesystem::path& path, ClientOptions options = {});

}  // namespace vmcore::qmp
