// SPDX-License-Identifier: GPL-2.0-or-later
#include "qmp/connect.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "qmp/monitor_socket.h"
#include "qmp/unix_peers.h"

namespace vmcore::qmp {
namespace {

// The processes of libvirt that run guests; the kernel keeps 15 characters of a name.
constexpr std::array<std::string_view, 3> kLibvirtNames{"libvirtd", "virtqemud", "rpc-libvirtd"};

bool is_libvirt(const Process& process) {
  return std::ranges::find(kLibvirtNames, process.name) != kLibvirtNames.end();
}

tl::unexpected<Error> owned_by_libvirt() {
  return fail(Errc::busy,
              "libvirt runs this guest and owns its monitor: use `-c URI DOMAIN` instead");
}

// The same error, with who is connected.
Error name_holders(Error busy, const std::filesystem::path& path, int socket) {
  std::string holders;
  for (const Process& process : clients_of(path, socket)) {
    if (is_libvirt(process)) {
      return owned_by_libvirt().value();
    }
    holders += fmt::format("{}{} (pid {})", holders.empty() ? "" : ", ", process.name, process.pid);
  }
  if (!holders.empty()) {
    busy.message += ": " + holders;
  }
  return busy;
}

Result<Client> open_monitor(const std::filesystem::path& path, ClientOptions options) {
  if (is_libvirt_path(path)) {
    return owned_by_libvirt();
  }
  TRY_ASSIGN(Fd socket, connect_unix(path));
  const auto listener = listener_of(socket.get());
  if (listener && is_libvirt(*listener)) {
    return owned_by_libvirt();
  }
  // The client takes the socket; this keeps it open until its holders were looked up.
  const Fd kept(::dup(socket.get()));
  Result<Client> client = Client::open(std::move(socket), std::move(options));
  if (client || client.error().code != Errc::busy) {
    return client;
  }
  if (listener) {
    const std::string use = other_use(command_line(listener->pid), path.string());
    if (!use.empty()) {
      return fail(Errc::not_recognised,
                  "the socket of {}, not QMP: give one of -qmp or -mon mode=control", use);
    }
  }
  return tl::unexpected(name_holders(client.error(), path, kept.get()));
}

}  // namespace

Result<Client> connect(const std::filesystem::path& path, ClientOptions options) {
  std::error_code error;
  Result<Client> client = open_monitor(std::filesystem::absolute(path, error), std::move(options));
  if (!client) {
    return in_context(std::move(client).error(), path.string());
  }
  return client;
}

}  // namespace vmcore::qmp
