// SPDX-License-Identifier: GPL-2.0-or-later
// tcp: sends to an address and a port. The stream is always sealed, because neither the network nor
// the receiver is authenticated.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "guest/save/network.h"
#include "guest/save/target_stream.h"

namespace vmcore::guest::save {
namespace {

constexpr std::chrono::seconds kConnectWait{30};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress socket_address(const config::Endpoint& to) {
  SocketAddress address;
  if (to.address.family == AF_INET) {
    sockaddr_in& in = reinterpret_cast<sockaddr_in&>(address.storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(to.port);
    std::memcpy(&in.sin_addr, to.address.storage.data(), sizeof in.sin_addr);
    address.size = sizeof in;
  } else {
    sockaddr_in6& in = reinterpret_cast<sockaddr_in6&>(address.storage);
    in.sin6_family = AF_INET6;
    in.sin6_port = htons(to.port);
    std::memcpy(&in.sin6_addr, to.address.storage.data(), sizeof in.sin6_addr);
    address.size = sizeof in;
  }
  return address;
}

// Returns 0 or an errno.
int wait_for_connection(int fd, const Heartbeat& heartbeat) {
  for (const Clock::time_point until = Clock::now() + kConnectWait; Clock::now() < until;) {
    pollfd ready{fd, POLLOUT, 0};
    if (::poll(&ready, 1, 1000) > 0) {
      int error = 0;
      socklen_t size = sizeof error;
      return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
    }
    heartbeat();
  }
  return ETIMEDOUT;
}

Result<Fd> connect_to(const config::Endpoint& to, const std::string& name,
                      const Heartbeat& heartbeat) {
  const SocketAddress address = socket_address(to);
  Fd fd(::socket(to.address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int error = !fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage),
                               address.size) != 0
                  ? errno
                  : 0;
  if (error == EINPROGRESS) {
    error = wait_for_connection(fd.get(), heartbeat);
  }
  return error == 0 ? Result<Fd>(std::move(fd)) : Result<Fd>(fail_errno(error, name));
}

}  // namespace

Result<Saved> save_to_tcp(const std::string& where, const Crash& crash) {
  TRY(check_key(crash.config));
  if (!crash.config.encrypt_to) {
    return fail(Errc::denied, "target tcp sends only sealed dumps: set encrypt-to to a key");
  }
  TRY_ASSIGN(const config::Endpoint to, config::parse_endpoint(where));
  if (crash.config.network) {
    TRY(bring_up(*crash.config.network, crash.heartbeat));
  }
  TRY_ASSIGN(convert::Outcome outcome,
             send_to_host([&] { return connect_to(to, where, crash.heartbeat); }, crash));
  return Saved{where + " over TCP", std::move(outcome)};
}

}  // namespace vmcore::guest::save
