// SPDX-License-Identifier: GPL-2.0-or-later
// Facts about a monitor's socket that can be learned without speaking through it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::qmp {

// The monitor of a guest that libvirt runs: libvirt is its only client, and must stay so.
bool is_libvirt_path(const std::filesystem::path& path);

// Connects to a listening UNIX socket; paths longer than a socket address work. No file, not a
// socket, no listener, and no permission are different errors.
Result<Fd> connect_unix(const std::filesystem::path& path);

// The use that a QEMU with this command line makes of the socket at `path`: "the guest agent", "a
// serial console", "a monitor for people (HMP)"; empty for a QMP monitor, and if it is not known.
std::string other_use(const std::vector<std::string>& command_line, const std::string& path);

}  // namespace vmcore::qmp
