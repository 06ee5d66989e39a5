// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/qmp/process.h"

#include <optional>

#include "qmp/unix_peers.h"
#include "src/acquire/process/identity.h"

namespace vmcore::acquire {

using qmp::Json;

Result<GuestProcess> open_monitor_process(int socket, const Execute& execute) {
  const auto peer = qmp::listener_of(socket);
  if (!peer || peer->pid <= 0) {
    return fail(Errc::unsupported,
                "the process of the guest is not visible from here (another host, or another PID "
                "namespace)");
  }
  TRY_ASSIGN(std::optional<Fd> pidfd, qmp::pidfd_of_listener(socket));
  TRY_ASSIGN(GuestProcess process, GuestProcess::open(peer->pid, std::move(pidfd)));
  TRY_ASSIGN(const ProcessIdentity identity, identity_of(peer->pid));
  if (auto may = check_identity(identity, {peer->uid, peer->gid}); !may) {
    return fail(may.error().code, "{} (pid {}) made the monitor's socket: {}", peer->name,
                peer->pid, may.error().message);
  }
  TRY(process.check_same());
  TRY_ASSIGN(const Json cpus, execute("query-cpus-fast", Json::object()));
  const auto thread = cpus.is_array() && !cpus.empty()
                          ? qmp::number_member(cpus.front(), "thread-id")
                          : std::nullopt;
  if (!thread || !process.has_thread(*thread)) {
    return fail(Errc::unsupported,
                "{} (pid {}) made the monitor's socket, but does not run the guest", peer->name,
                peer->pid);
  }
  return process;
}

}  // namespace vmcore::acquire
