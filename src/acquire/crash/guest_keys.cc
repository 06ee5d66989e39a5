// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/guest_keys.h"

#include <sys/stat.h>

#include "qmp/monitor_socket.h"
#include "qmp/unix_peers.h"
#include "src/acquire/process/guest_process.h"

namespace vmcore::acquire {
namespace {

GuestKeys keys_of_process(pid_t pid) {
  const auto began = start_time(pid);
  return began ? GuestKeys{process_key({pid, *began})} : GuestKeys();
}

// The process that listens is QEMU, unless another process made the socket, maybe for several
// guests.
bool runs_guest(pid_t pid, qmp::Client& monitor) {
  const auto cpus = monitor.execute("query-cpus-fast");
  const auto thread = cpus && cpus->is_array() && !cpus->empty()
                          ? qmp::number_member(cpus->front(), "thread-id")
                          : std::nullopt;
  return thread && has_thread(pid, *thread);
}

}  // namespace

std::string domain_key(std::string_view uuid) { return fmt::format("domain-{}", uuid); }

std::string process_key(const ProcessKey& process) {
  return fmt::format("process-{}-{}", process.pid, process.start_time);
}

GuestKeys keys_of_file(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0 ||
      !(S_ISSOCK(status.st_mode) || S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode))) {
    return {};
  }
  return {fmt::format("file-{}-{}", status.st_dev, status.st_ino)};
}

GuestKeys keys_of_monitor(qmp::Client& monitor, const std::filesystem::path& socket) {
  GuestKeys keys = keys_of_file(socket);
  const auto peer = qmp::listener_of(monitor.fd());
  if (peer && runs_guest(peer->pid, monitor)) {
    const GuestKeys process = keys_of_process(peer->pid);
    keys.insert(keys.end(), process.begin(), process.end());
  }
  return keys;
}

GuestKeys keys_behind_channel(const std::filesystem::path& path, int connected) {
  const auto peer = qmp::listener_of(connected);
  std::error_code ignored;
  const std::string name = std::filesystem::absolute(path, ignored).string();
  const bool is_qemu = peer && !qmp::other_use(qmp::command_line(peer->pid), name).empty();
  return is_qemu ? keys_of_process(peer->pid) : GuestKeys();
}

}  // namespace vmcore::acquire
