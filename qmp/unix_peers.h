// Who stands behind a UNIX socket, as far as this user may see.
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

// A process that began to listen, as who it was then.
struct Listener : Process {
  uid_t uid = 0;
  gid_t gid = 0;
};

// The process that listens on what `socket` is connected to. Where libvirt made the socket and
// handed it to QEMU, that is libvirt.
std::optional<Listener> listener_of(int socket);

// A pidfd of that process, which may have ended, and its number be another's (SO_PEERPIDFD, Linux
// 6.5, 7b26952a91cf). Nothing where the kernel has none; Errc::unsupported where it has ended.
Result<std::optional<Fd>> pidfd_of_listener(int socket);

// The processes that are connected to the socket at `path`, but for `own` (a descriptor).
std::vector<Process> clients_of(const std::filesystem::path& path, int own);

// The same as a text: "socat (pid 1234)"; empty where there is none. Finds also who is waiting to
// be served, and whom this user may not see.
std::string name_others(const std::filesystem::path& path, int own);

// What the process was started with; empty where that cannot be read.
std::vector<std::string> command_line(pid_t pid);

}  // namespace vmcore::qmp
