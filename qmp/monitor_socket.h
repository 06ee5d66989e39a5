// What can be told of a monitor's socket without speaking through it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::qmp {

// The monitor of a guest that libvirt runs: libvirt is its one client, and must stay so.
bool is_libvirt_path(const std::filesystem::path& path);

// Connects to a listening UNIX socket; paths longer than a socket address are fine. No file, no
// socket, nobody who listens, no permission are different errors.
Result<Fd> connect_unix(const std::filesystem::path& path);

// What QEMU, started with these words, uses the socket at `path` for: "the guest agent",
// "a serial console", "a monitor for people (HMP)"; empty for a QMP monitor and where it cannot be
// told.
std::string other_use(const std::vector<std::string>& command_line, const std::string& path);

}  // namespace vmcore::qmp
