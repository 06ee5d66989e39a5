// SPDX-License-Identifier: GPL-2.0-or-later
// Connecting to the monitor of a QEMU that runs on this host.
#pragma once

#include <filesystem>

#include "qmp/client.h"

namespace vmcore::qmp {

// Opens the monitor behind a socket. Refused are monitors that libvirt owns (its public API is the
// way), and sockets that are not a QMP monitor. A monitor that another client holds is Errc::busy,
// with the name of that client if it is visible. Every error names the socket.
Result<Client> connect(const std::filesystem::path& path, ClientOptions options = {});

}  // namespace vmcore::qmp
