// SPDX-License-Identifier: GPL-2.0-or-later
// vsock: sends to the host, which has CID 2.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>

// After <sys/socket.h>, whose sa_family_t it needs.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <cstring>

#include "guest/save/target_stream.h"
#include "src/base/number.h"

namespace vmcore::guest::save {
namespace {

Result<Fd> connect_to_host(std::uint32_t port) {
  Fd fd(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) {
    return fail(Errc::not_found, "this machine has no vsock: {}", std::strerror(errno));
  }
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_HOST;
  address.svm_port = port;
  // The kernel times out after two seconds (net/vmw_vsock/af_vsock.c).
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENODEV) {  // net/vmw_vsock/virtio_transport.c, without a device
      return fail(Errc::not_found, "this machine has no vsock device");
    }
    return fail_errno(errno, fmt::format("the host's vsock port {}", port));
  }
  if (::fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) {
    return fail_errno(errno, "vsock");
  }
  return fd;
}

}  // namespace

Result<std::uint32_t> parse_vsock_port(const std::string& where) {
  const auto port =
      where.empty() ? std::optional(config::kVsockPort) : parse_number<std::uint32_t>(where);
  return port ? Result<std::uint32_t>(*port)
              : fail(Errc::invalid, "\"{}\" is not a port number", where);
}

Result<Saved> save_to_vsock(const std::string& where, const Crash& crash) {
  TRY_ASSIGN(const std::uint32_t port, parse_vsock_port(where));
  TRY_ASSIGN(convert::Outcome outcome, send_to_host([&] { return connect_to_host(port); }, crash));
  return Saved{fmt::format("the host over vsock port {}", port), std::move(outcome)};
}

}  // namespace vmcore::guest::save
