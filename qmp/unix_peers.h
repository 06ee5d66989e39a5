// Who stands behind a UNIX socket, as far as this user may see.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/base/result.h"

namespace vmcore::qmp {

struct Process {
  pid_t pid = 0;
  std::string name;  // the kernel's short one, without control characters
};

// The process that listens on what `socket` is connected to. Where libvirt made the socket and
// handed it to QEMU, that is libvirt.
std::optional<Process> listener_of(int socket);

// The processes that are connected to the socket at `path`, but for `own` (a descriptor).
std::vector<Process> clients_of(const std::filesystem::path& path, int own);

// What the process was started with; empty where that cannot be read.
std::vector<std::string> command_line(pid_t pid);

}  // namespace vmcore::qmp
