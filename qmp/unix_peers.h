// SPDX-License-Identifier: GPL-2.0-or-later
// Which processes are behind a UNIX socket, as far as this user may see.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "src/base/fd.h"
#include "src/base/result.h"

namespace vmcore::qmp {

struct Process {
  pid_t pid = 0;
  std::string name;  // the kernel's short one, without control characters
};

// A process that began to listen, with the ids that it had then.
struct Listener : Process {
  uid_t uid = 0;
  gid_t gid = 0;
};

// The process that listens at the other end of `socket`. If libvirt made the socket and passed it
// to QEMU, that is libvirt.
std::optional<Listener> listener_of(int socket);

// A pidfd of that process, which may have ended, so that another process has its number
// (SO_PEERPIDFD, Linux 6.5, 7b26952a91cf). Nothing if the kernel has no such option;
// Errc::unsupported if the process has ended.
Result<std::optional<Fd>> pidfd_of_listener(int socket);

// The processes that are connected to the socket at `path`, except `own` (a descriptor).
std::vector<Process> clients_of(const std::filesystem::path& path, int own);

// The same as a text: "socat (pid 1234)"; empty if there is none. Includes clients that wait to be
// served, and clients that this user may not see.
std::string name_others(const std::filesystem::path& path, int own);

// The command line of the process; empty if it cannot be read.
std::vector<std::string> command_line(pid_t pid);

}  // namespace vmcore::qmp
