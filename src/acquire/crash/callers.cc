// SPDX-License-Identifier: GPL-2.0-or-later
#include "src/acquire/crash/callers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
// First the socket header: this one needs its types.
#include <linux/vm_sockets.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <iterator>
#include <string_view>
#include <utility>

namespace vmcore::acquire {
namespace {

// The socket is readable when this many bytes have arrived, or its end.
void listen_for(int fd, int bytes) {
  ::setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

std::string name_of_peer(const sockaddr_storage& peer, socklen_t size) {
  const auto* const address = reinterpret_cast<const sockaddr*>(&peer);
  if (peer.ss_family == AF_VSOCK) {
    return fmt::format("cid-{}", reinterpret_cast<const sockaddr_vm*>(&peer)->svm_cid);
  }
  char text[NI_MAXHOST] = "";
  ::getnameinfo(address, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST);
  constexpr std::string_view kMapped = "::ffff:";  // IPv4, on a socket of IPv6
  return std::string_view(text).starts_with(kMapped) ? text + kMapped.size() : text;
}

// Who has one IPv6 address usually has all addresses of its /64 network, except link-local ones.
std::string group_of_peer(const sockaddr_storage& peer, const std::string& name) {
  in6_addr address{};
  if (peer.ss_family != AF_INET6) {
    return name;
  }
  address = reinterpret_cast<const sockaddr_in6*>(&peer)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_LINKLOCAL(&address) ||
      IN6_IS_ADDR_LOOPBACK(&address)) {
    return name;
  }
  std::fill(std::begin(address.s6_addr) + 8, std::end(address.s6_addr), std::uint8_t{0});
  char text[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(AF_INET6, &address, text, sizeof text);
  return fmt::format("{}/64", text);
}

// Bytes that can be read; nothing where the socket does not tell (vsock before Linux 6.17).
std::optional<int> unread(int fd) {
  int bytes = 0;
  return ::ioctl(fd, FIONREAD, &bytes) == 0 ? std::optional(bytes) : std::nullopt;
}

}  // namespace

Result<Callers> Callers::make(Fd listener) {
  Callers callers;
  callers.listener_ = std::move(listener);
  callers.epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!callers.epoll_ || ::fcntl(callers.listener_.get(), F_SETFL, O_NONBLOCK) != 0) {
    return fail_errno(errno, "where guests connect");
  }
  TRY(callers.watch(callers.listener_.get()));
  return callers;
}

Result<> Callers::watch(int fd) const {
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP, .data = {.fd = fd}};
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return fail_errno(errno, "epoll");
  }
  return {};
}

std::size_t Callers::count(const std::string& peer) const {
  return static_cast<std::size_t>(std::ranges::count(
      waiting_, peer, [](const Waiting& waiting) { return waiting.caller.peer; }));
}

void Callers::drop_one() {
  // The first of equal ones is the oldest of that peer.
  waiting_.erase(std::ranges::max_element(
      waiting_, {}, [&](const Waiting& waiting) { return count(waiting.caller.peer); }));
}

Result<> Callers::accept() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  Fd fd(::accept4(listener_.get(), reinterpret_cast<sockaddr*>(&peer), &size, SOCK_CLOEXEC));
  if (!fd && (errno == EBADF || errno == EINVAL || errno == ENOTSOCK)) {
    return fail_errno(errno, "where guests connect");
  }
  if (!fd && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
    if (waiting_.empty()) {
      return fail_errno(errno, "a guest that connects");
    }
    drop_one();  // there is room for another
    return {};
  }
  if (!fd) {
    return {};  // gone already, or the network has an error that is its own (accept(2))
  }
  listen_for(fd.get(), kLeastWords);
  TRY(watch(fd.get()));
  const std::string name = name_of_peer(peer, size);
  waiting_.push_back({.caller = {name, group_of_peer(peer, name), std::move(fd)}});
  if (waiting_.size() > kMostWaiting) {
    drop_one();
  }
  return {};
}

void Callers::hear(int fd, bool hung_up) {
  const auto spoke = std::ranges::find_if(
      waiting_, [&](const Waiting& waiting) { return waiting.caller.fd.get() == fd; });
  if (spoke == waiting_.end()) {
    return;
  }
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  if (hung_up && unread(fd).value_or(kLeastWords) < kLeastWords) {
    waiting_.erase(spoke);  // it can be no stream any more
    return;
  }
  listen_for(fd, 1);
  spoke->spoke = true;
}

Result<> Callers::gather() {
  constexpr int kMostAtOnce = 256;  // whoever speaks meanwhile is heard the next time
  epoll_event event{};
  for (int i = 0; i<kMostAtOnce&& ::epoll_wait(epoll_.get(), &event, 1, 0)> 0; ++i) {
    if (event.data.fd == listener_.get()) {
      TRY(accept());
    } else {
      hear(event.data.fd, (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    }
  }
  return {};
}

Result<std::optional<Caller>> Callers::next(std::span<const std::string> busy) {
  TRY(gather());
  auto best = waiting_.end();
  std::ptrdiff_t least = 0;
  for (auto waiting = waiting_.begin(); waiting != waiting_.end(); ++waiting) {
    const auto heard = std::ranges::count(busy, waiting->caller.peer);
    if (waiting->spoke && (best == waiting_.end() || heard <= least)) {
      best = waiting;
      least = heard;
    }
  }
  if (best == waiting_.end()) {
    return std::nullopt;
  }
  Caller caller = std::move(best->caller);
  waiting_.erase(best);
  return caller;
}

void Callers::put_back(Caller caller) {
  waiting_.push_back({.caller = std::move(caller), .spoke = true});
}

}  // namespace vmcore::acquire
