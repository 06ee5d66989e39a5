// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/guest_line.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>
// First the socket header: this one needs its types.
#include <linux/vm_sockets.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <memory>
#include <thread>
#include <utility>

#include "qmp/monitor_socket.h"
#include "qmp/unix_peers.h"
#include "src/acquire/libvirt/setup.h"
#include "src/base/number.h"

namespace vmcore::acquire {
namespace {

namespace fs = std::filesystem;

// Clients are accepted at once (Callers).
constexpr int kMostUnanswered = 128;

constexpr std::string_view kVsock = "vsock:";
constexpr std::string_view kTcp = "tcp:";

Result<GuestLine> open_standard_input() {
  if (::isatty(STDIN_FILENO) != 0) {
    return fail(
        Errc::invalid,
        "standard input is a terminal: pipe a guest's stream into it, or name a socket or file");
  }
  TRY_ASSIGN(Fd fd, duplicate(STDIN_FILENO));
  return GuestLine{.name = "guest", .fd = std::move(fd)};
}

Result<GuestLine> listen_on_vsock(std::string_view text) {
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = kDumpVsockPort;
  if (const auto port = parse_number<unsigned>(text)) {
    address.svm_port = *port;
  } else if (!text.empty()) {
    return fail(Errc::invalid, "vsock:{}: give a port number, or none for port {}", text,
                kDumpVsockPort);
  }
  Fd socket(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket && errno == EAFNOSUPPORT) {
    return fail(Errc::unsupported,
                "this kernel has no vsock: load its module (modprobe vhost_vsock), or give the "
                "guest a virtio-serial channel");
  }
  // sockaddr_vm is one of the addresses that sockaddr stands for.
  if (!socket ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.get(), kMostUnanswered) != 0) {
    return fail_errno(errno, fmt::format("vsock port {}", address.svm_port));
  }
  return GuestLine{.name = "vsock", .fd = {}, .listener = std::move(socket)};
}

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

bool has_ipv6() { return bool(Fd(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0))); }

Result<GuestLine> listen_on_tcp(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  const std::string port = colon == text.npos ? text : text.substr(colon + 1);
  std::string address = colon == text.npos ? "" : text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  addrinfo wanted{};
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
  wanted.ai_socktype = SOCK_STREAM;
  const bool both = address.empty() && has_ipv6();
  wanted.ai_family = both ? AF_INET6 : address.empty() ? AF_INET : AF_UNSPEC;
  addrinfo* list = nullptr;
  if (port.empty() || ::getaddrinfo(address.empty() ? nullptr : address.c_str(), port.c_str(),
                                    &wanted, &list) != 0) {
    return fail(Errc::invalid, "tcp:{}: give a port number, or ADDRESS:PORT", text);
  }
  const std::unique_ptr<addrinfo, FreeAddresses> found(list);
  Fd socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int yes = 1;
  const int no = 0;  // net.ipv6.bindv6only may say otherwise
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      (both && ::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0) ||
      ::bind(socket.get(), found->ai_addr, found->ai_addrlen) != 0 ||
      ::listen(socket.get(), kMostUnanswered) != 0) {
    return fail_errno(errno, fmt::format("tcp:{}", text));
  }
  return GuestLine{.name = "tcp", .fd = {}, .listener = std::move(socket)};
}

Result<GuestLine> open_path(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return fail_errno(errno, path.string());
  }
  GuestLine line{.name = path.stem().string(), .fd = {}, .keys = keys_of_file(path)};
  if (S_ISDIR(status.st_mode)) {
    return fail(Errc::invalid,
                "{} is a folder: give the socket of a guest's channel, or a file "
                "that holds its stream",
                path.string());
  }
  if (S_ISSOCK(status.st_mode)) {
    auto socket = qmp::connect_unix(path);
    if (!socket) {
      return in_context(std::move(socket).error(), path.string());
    }
    line.fd = *std::move(socket);
    line.guest_keys = keys_behind_channel(path, line.fd.get());
    line.socket = path;
    return line;
  }
  // Opening a FIFO does not wait for a writer; the job waits for the writer and for its data.
  line.fd = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!line.fd || ::fcntl(line.fd.get(), F_SETFL, O_RDONLY) != 0) {
    return fail_errno(errno, path.string());
  }
  return line;
}

Result<GuestLine> open_domain_line(const Selection& selection) {
  TRY_ASSIGN(DomainChannel channel, channel_of_domain(selection, kDumpChannel));
  auto line = open_path(channel.path);
  if (!line) {
    return in_context(std::move(line).error(), channel.domain);
  }
  line->name = std::move(channel.domain);
  line->memory = channel.memory;
  line->guest_keys.push_back(domain_key(channel.uuid));
  if (auto watcher = watch_domain(selection.uri, channel.uuid)) {
    line->watcher = *std::move(watcher);
  }
  return line;
}

}  // namespace

Result<GuestLine> open_guest_line(const std::string& from, Selection selection) {
  const bool is_domain = !selection.uri.empty() || selection.look_up != LookUp::any;
  if (!is_domain && from == "-") {
    return open_standard_input();
  }
  if (!is_domain && from.starts_with(kVsock)) {
    return listen_on_vsock(std::string_view(from).substr(kVsock.size()));
  }
  if (!is_domain && is_tcp(from)) {
    return listen_on_tcp(from.substr(kTcp.size()));
  }
  std::error_code ignored;
  const auto status = fs::status(from, ignored);
  const bool is_path =
      from.find('/') != std::string::npos || (fs::exists(status) && !fs::is_directory(status));
  if (!is_domain && is_path) {
    return open_path(from);
  }
  selection.domain = from;
  return open_domain_line(selection);
}

Result<> check_alone(const GuestLine& line) {
  constexpr int kLooks = 10;
  constexpr std::chrono::milliseconds kLookEvery{100};
  if (line.socket.empty()) {
    return {};
  }
  for (int look = 1;; ++look) {
    const std::string others = qmp::name_others(line.socket, line.fd.get());
    if (others.empty()) {
      return {};
    }
    if (look == kLooks) {
      return fail(
          Errc::busy,
          "{} is connected to {}, and receives what the guest sends: end that process first",
          others, line.socket.string());
    }
    std::this_thread::sleep_for(kLookEvery);
  }
}

bool is_tcp(const std::string& from) { return from.starts_with(kTcp); }

}  // namespace vmcore::acquire
