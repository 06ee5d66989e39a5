// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/triage/sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace vmcore::triage {
namespace {

using Name = std::pair<std::uint64_t, std::string_view>;

constexpr std::uint64_t kUnix = 1, kInet = 2, kInet6 = 10, kVsock = 40;
// include/linux/socket.h
constexpr std::array<Name, 9> kFamilies{{{kUnix, "unix"},
                                         {kInet, "inet"},
                                         {kInet6, "inet6"},
                                         {16, "netlink"},
                                         {17, "packet"},
                                         {29, "can"},
                                         {38, "alg"},
                                         {kVsock, "vsock"},
                                         {44, "xdp"}}};
// include/linux/net.h
constexpr std::array<Name, 6> kTypes{
    {{1, "stream"}, {2, "dgram"}, {3, "raw"}, {4, "rdm"}, {5, "seqpacket"}, {10, "packet"}}};
// include/uapi/linux/in.h
constexpr std::array<Name, 7> kProtocols{{{1, "icmp"},
                                          {6, "tcp"},
                                          {17, "udp"},
                                          {58, "icmpv6"},
                                          {132, "sctp"},
                                          {136, "udplite"},
                                          {262, "mptcp"}}};
// include/net/tcp_states.h; other protocols use them too.
constexpr std::uint64_t kClosed = 7;
constexpr std::array<Name, 13> kStates{{{1, "ESTABLISHED"},
                                        {2, "SYN_SENT"},
                                        {3, "SYN_RECV"},
                                        {4, "FIN_WAIT1"},
                                        {5, "FIN_WAIT2"},
                                        {6, "TIME_WAIT"},
                                        {kClosed, "CLOSE"},
                                        {8, "CLOSE_WAIT"},
                                        {9, "LAST_ACK"},
                                        {10, "LISTEN"},
                                        {11, "CLOSING"},
                                        {12, "NEW_SYN_RECV"},
                                        {13, "BOUND_INACTIVE"}}};

std::string named(std::span<const Name> names, std::uint64_t number) {
  const auto found = std::ranges::find(names, number, &Name::first);
  return found != names.end() ? std::string(found->second) : fmt::format("{}", number);
}

bool is_inet(std::uint64_t family) { return family == kInet || family == kInet6; }

// "192.0.2.1:80", "[::1]:80"
Result<std::string> inet_address(Knowledge& knowledge, VirtAddr sock, std::uint64_t family,
                                 const std::string& member, std::uint64_t port) {
  TRY_ASSIGN(const kernel::BtfField field, knowledge.field("sock.__sk_common." + member));
  std::array<std::byte, sizeof(in6_addr)> bytes{};
  const std::size_t size = family == kInet ? sizeof(in_addr) : sizeof(in6_addr);
  TRY(knowledge.kernel.read_exactly(sock + field.offset(), std::span(bytes).first(size)));
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int kind = family == kInet ? AF_INET : AF_INET6;
  if (::inet_ntop(kind, bytes.data(), text.data(), text.size()) == nullptr) {
    return fail(Errc::malformed, "no address");
  }
  const std::string host = family == kInet ? text.data() : fmt::format("[{}]", text.data());
  return fmt::format("{}:{}", host, port);
}

void add_inet(Knowledge& knowledge, VirtAddr sock, std::uint64_t family,
              report::OpenSocket& socket) {
  const auto local = knowledge.number(sock, "sock.__sk_common.skc_num");
  const auto remote = knowledge.number(sock, "sock.__sk_common.skc_dport");  // big-endian
  const bool v4 = family == kInet;
  if (local) {
    socket.local =
        inet_address(knowledge, sock, family, v4 ? "skc_rcv_saddr" : "skc_v6_rcv_saddr", *local)
            .value_or("");
  }
  if (remote && *remote != 0) {
    socket.remote = inet_address(knowledge, sock, family, v4 ? "skc_daddr" : "skc_v6_daddr",
                                 ntohs(static_cast<std::uint16_t>(*remote)))
                        .value_or("");
  }
}

// The path that a Unix socket is bound to; "@..." is no path, but an abstract name.
Result<std::string> unix_name(Knowledge& knowledge, VirtAddr sock) {
  constexpr std::uint64_t kMostBytes = 110;  // of struct sockaddr_un
  constexpr std::uint64_t kPathAt = 2;
  TRY_ASSIGN(const VirtAddr address, knowledge.pointer(sock, "unix_sock.addr"));
  if (address.value == 0) {
    return std::string();
  }
  TRY_ASSIGN(const std::uint64_t length, knowledge.number(address, "unix_address.len"));
  TRY_ASSIGN(const kernel::BtfField name, knowledge.field("unix_address.name"));
  if (length <= kPathAt || length > kMostBytes) {
    return fail(Errc::malformed, "a Unix address of {} bytes", length);
  }
  std::string path(length - kPathAt, '\0');
  TRY(knowledge.kernel.read_exactly(address + (name.offset() + kPathAt),
                                    std::as_writable_bytes(std::span(path))));
  if (path.front() == '\0') {
    path.front() = '@';
    return path;
  }
  return path.substr(0, path.find('\0'));
}

void add_unix(Knowledge& knowledge, VirtAddr sock, report::OpenSocket& socket) {
  socket.local = unix_name(knowledge, sock).value_or("");
  const auto peer = knowledge.pointer(sock, "unix_sock.peer");
  if (peer && peer->value != 0) {
    socket.remote = unix_name(knowledge, *peer).value_or("");
  }
}

std::string state_text(std::uint64_t family, const std::string& protocol, std::uint64_t state) {
  if (family != kUnix && family != kVsock && !is_inet(family)) {
    return {};
  }
  return state == kClosed && protocol != "tcp" ? "UNCONNECTED" : named(kStates, state);
}

}  // namespace

Result<report::OpenSocket> socket_of(Knowledge& knowledge, VirtAddr file) {
  TRY_ASSIGN(const VirtAddr socket, knowledge.pointer(file, "file.private_data"));
  TRY_ASSIGN(const VirtAddr owner, knowledge.pointer(socket, "socket.file"));
  if (owner != file) {
    return fail(Errc::malformed, "the socket at {:#x} is not of the file", socket.value);
  }
  TRY_ASSIGN(const VirtAddr sock, knowledge.pointer(socket, "socket.sk"));
  TRY_ASSIGN(const std::uint64_t family, knowledge.number(sock, "sock.__sk_common.skc_family"));
  TRY_ASSIGN(const std::uint64_t state, knowledge.number(sock, "sock.__sk_common.skc_state"));
  TRY_ASSIGN(const std::uint64_t type, knowledge.number(socket, "socket.type"));
  TRY_ASSIGN(const std::uint64_t protocol, knowledge.number(sock, "sock.sk_protocol"));
  report::OpenSocket found{.family = named(kFamilies, family), .type = named(kTypes, type)};
  if (protocol != 0) {
    found.protocol = is_inet(family) ? named(kProtocols, protocol) : fmt::format("{}", protocol);
  }
  found.state = state_text(family, found.protocol, state);
  if (is_inet(family)) {
    add_inet(knowledge, sock, family, found);
  } else if (family == kUnix) {
    add_unix(knowledge, sock, found);
  }
  return found;
}

}  // namespace vmcore::triage
